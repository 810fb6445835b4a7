"""A document as it is indexed now: where a citation, perhaps of an old answer, stands in it, and its text."""

from dataclasses import dataclass

from rag.errors import QuestionError
from rag.index import Index
from rag.types import Citation

EXCERPT_CHARS = 20_000
"""How much of a document is given at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A cited document now: its text, "" where it is gone, and where the quote stands in it.

    `start` and `end` are those of the citation while the quote stands there, else those of its first
    occurrence; None where the document no longer has it. `changed` says that the quote isn't where it was
    cited.
    """

    source: str
    text: str
    start: int | None
    end: int | None
    changed: bool


def opened(index: Index, citation: Citation) -> Opened:
    """The document of the citation, as the index has it now."""
    with index.open() as (snapshot, _):
        text = snapshot.document(citation.source) or ""
    start: int | None = citation.start
    if text[citation.start : citation.end] != citation.quote:
        place = text.find(citation.quote)
        start = None if place < 0 else place
    end = None if start is None else start + len(citation.quote)
    return Opened(citation.source, text, start, end, changed=start != citation.start)


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
    with index.open() as (snapshot, _):
        text = snapshot.document(source)
        if text is None:
            raise QuestionError(f"The index has no document {source}. Name one as passages and citations do.")
        about = snapshot.about(source)
    last = len(text) if end is None else end
    if not 0 <= start <= last or start > len(text):
        raise QuestionError(
            f"{source} has the characters 0 to {len(text):,}; there are none from {start:,} to {last:,}."
        )
    last = min(last, len(text), start + EXCERPT_CHARS)
    return Excerpt(source, start, last, text[start:last], about.title, about.date, len(text))
