"""Documents that are no plain text: PDF, Word, web page and e-mail, one module each → their text.

`python -m rag.documents.parsers` is the process that reads them for `rag.documents.sandbox`, so that a
hostile file can neither crash nor hang a build, nor fill its memory. Here is what the two agree on.
"""

from dataclasses import dataclass

from rag.errors import UnreadableError

KINDS = (".html", ".htm", ".pdf", ".docx", ".eml")
MAX_CHARS = 10_000_000

OUT_OF_MEMORY = 3
"""The exit status of the process when it needs more."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a document, and what it says of itself.

    `date` is YYYY-MM-DD; `pages` are the offsets at which its pages begin, none where it has no pages.
    """

    text: str
    title: str | None = None
    date: str | None = None
    pages: tuple[int, ...] = ()


def require_text(extract: Extract) -> Extract:
    """The extract; `UnreadableError` if it has no text, or more than is read."""
    if not extract.text.strip():
        raise UnreadableError("has no text")
    if len(extract.text) > MAX_CHARS:
        raise UnreadableError(
            f"has {len(extract.text):,} characters, more than the {MAX_CHARS:,} that are read; split it"
        )
    return extract
