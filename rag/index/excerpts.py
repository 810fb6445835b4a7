"""A document as it is indexed now: whether a quote, perhaps an old one, still stands in it, and its text."""

from dataclasses import dataclass

from rag.errors import QuestionError
from rag.index.base import Index

EXCERPT_CHARS = 20_000
"""How much of a document is given at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A document now: its text, "" where it is gone, and where the quote stands in it.

    `start` and `end` are those that were asked for while the quote stands there, else those of its first
    occurrence; None where the document no longer has it. `changed` says that the quote isn't where it was.
    `title`, `date` (ISO) and `sha256`, that of its file, are of the document as it was indexed, None where it
    is gone. `page` is that of the quote, from 1, or the one it was on where it no longer stands; None without
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

    `page` is the one it was on. Without a quote, whatever is there stands; nothing is beyond the text.
    """
    with index.open() as state:
        document = state.document(source)
        if document is None:
            return Opened(source, "", None, None, changed=True, title=None, date=None, page=page, sha256=None)
        text, about = state.text(document), state.about(document)
    found: int | None = start
    if quote is None:
        found = start if 0 <= start <= end <= len(text) else None
        quote = text[start:end]
    elif start < 0 or text[start:end] != quote:
        place = text.find(quote)
        found = None if place < 0 else place
    return Opened(
        source=source,
        text=text,
        start=found,
        end=None if found is None else found + len(quote),
        changed=found != start,
        title=about.title,
        date=about.date,
        page=page if found is None else about.page(found),
        sha256=about.sha256,
    )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The characters of a document from `start` to `end`, out of so many `characters`, as it is indexed now.

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
