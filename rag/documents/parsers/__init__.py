"""PDF, Word, web page and e-mail → their text, one module each.

`python -m rag.documents.parsers` is the process that reads them for `rag.documents.sandbox`, so that a
hostile file can't crash or hang a build, or fill its memory. This module has what the two share.
"""

from dataclasses import dataclass

from rag.errors import UnreadableError
from rag.types import Block

KINDS = (".html", ".htm", ".pdf", ".docx", ".eml")
MAX_CHARS = 10_000_000

OUT_OF_MEMORY = 3
"""The exit status of the process when it reaches its memory limit."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a document, and the title and date that it states.

    `date` is YYYY-MM-DD; `pages` are the offsets at which its pages begin, empty for a format without pages.
    `blocks` are as in `Block`.
    """

    text: str
    title: str | None = None
    date: str | None = None
    pages: tuple[int, ...] = ()
    blocks: tuple[Block, ...] = ()


def require_text(extract: Extract) -> Extract:
    """The extract; `UnreadableError` if it has no text or more than `MAX_CHARS` characters."""
    if not extract.text.strip():
        raise UnreadableError("has no text")
    if len(extract.text) > MAX_CHARS:
        raise UnreadableError(
            f"has {len(extract.text):,} characters, more than the {MAX_CHARS:,} that are read; split it"
        )
    return extract
