"""Passages → a checked and cited answer."""
