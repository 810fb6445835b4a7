"""A document as it is indexed now: whether a quote, perhaps an old one, still stands in it, and its text."""

from dataclasses import dataclass

from rag.errors import QuestionError
from rag.index.base import Index

EXCERPT_CHARS = 20_000
"""How much of a document is given at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A document now: its text, "" if it was removed, and the offsets of the quote in it.

    `start` and `end` are those that were asked for while the quote stands there, else those of its first
    occurrence; None where the document no longer has it. `changed` says that the quote isn't where it was.
    `title`, `date` (ISO) and the file's `sha256` are those of the indexed document, None if it was removed.
    `page` is that of the quote, from 1, or the one that it was on if it no longer stands there; None without
    pages.
    """

    source: str
    text: str
    start: int | None
    end: int | None
    changed: bool
    title: str | None
    date: str | None
    page: int | None
    sha256: str | None


def opened(
    index: Index, source: str, start: int, end: int, *, quote: str | None = None, page: int | None = None
) -> Opened:
    """The document as the index has it now, and where the quote stands that was at these offsets.

    `page` is the one it was on. Without a quote, it is whatever stands there, nothing beyond the text.
    """
    with index.open() as state:
        document = state.document(source)
        if document is None:
            return Opened(source, "", None, None, changed=True, title=None, date=None, page=page, sha256=None)
        text, about = state.text(document), state.about(document)
    offset = start
    if quote is None:
        quote = text[start:end]
        offset = start if 0 <= start <= end <= len(text) else -1
    elif start < 0 or text[start:end] != quote:
        offset = text.find(quote)
    missing = offset < 0
    return Opened(
        source=source,
        text=text,
        start=None if missing else offset,
        end=None if missing else offset + len(quote),
        changed=missing or offset != start,
        title=about.title,
        date=about.date,
        page=page if missing else about.page(offset),
        sha256=about.sha256,
    )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The characters of a document from `start` to `end`, of all its `characters`, as it is indexed now.

    `title` and `date` (ISO) are None where the document has none.
    """

    source: str
    start: int
    end: int
    text: str
    title: str | None
    date: str | None
    characters: int


def excerpt(index: Index, source: str, start: int, end: int | None) -> Excerpt:
    """The document from `start` to `end`, None for its end; at most 20,000 characters, fewer where it ends.

    `QuestionError` when no document of the index has this name, or when it has no such characters.
    """
    with index.open() as state:
        document = state.document(source)
        if document is None:
            raise QuestionError(f"The index has no document {source}. Name one as passages and citations do.")
        text, about = state.text(document), state.about(document)
    last = len(text) if end is None else end
    if not 0 <= start <= last or start > len(text):
        raise QuestionError(
            f"{source} has the characters 0 to {len(text):,}; there are none from {start:,} to {last:,}."
        )
    last = min(last, len(text), start + EXCERPT_CHARS)
    return Excerpt(source, start, last, text[start:last], about.title, about.date, len(text))
