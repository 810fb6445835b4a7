"""Plain text → its blocks."""

import re

from rag.types import Block

_PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*(?<=\S)")


def blocks_of_text(text: str) -> tuple[Block, ...]:
    """The blocks of the text, in order: they have every character of it that isn't white space."""
    return tuple(Block("paragraph", match.start(), match.end()) for match in _PARAGRAPH.finditer(text))
