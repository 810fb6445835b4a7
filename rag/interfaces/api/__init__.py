"""Interfaces for other programs, served beside the page: OpenAI's API, MCP and Gradio's."""
