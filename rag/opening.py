"""A citation, perhaps of an old answer → its document as it is now, and whether the quote still stands."""

from dataclasses import dataclass

from rag.index import Index
from rag.types import Citation


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
