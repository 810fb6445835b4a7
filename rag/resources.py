"""Files of the project that stand beside the package in a checkout and inside it once installed."""

from pathlib import Path


def shipped(name: str) -> Path:
    """The path of `prompts` or `app.py`, wherever this installation has it."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.exists() else package.parent / name
