"""The panes beside the conversation: a document and its quote, how an answer was made, the documents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.errors import DocumentsError, QuestionError, SettingsError
from rag.index.excerpts import Opened
from rag.indexing import catalog
from rag.indexing.catalog import Listed
from rag.interfaces.chat.conversation import Conversation
from rag.interfaces.chat.html import as_literal, renderer
from rag.interfaces.lifecycle import Preparation
from rag.interfaces.rendering import counted, matched, passage_of, place
from rag.types import Answer, Citation, Passage

MAX_SHOWN_CHARS = 600_000
"""A longer document is shown around the quote: more makes browsers slow."""

MAX_LISTED = 200

_render = renderer("panes.html", as_literal)


@dataclass(frozen=True, slots=True)
class Panes:
    """What the panes beside the conversation show, for one preparation."""

    preparation: Preparation
    read_only: bool

    def source(self, conversation: Conversation, what: str, turn: int, number: int) -> str:
        """The document of a citation ("cite") or a passage of the turn of this number."""
        answer = conversation.answer(turn)
        found: Sequence[Citation | Passage] = ()
        if answer is not None:
            found = answer.citations if what == "cite" else answer.passages
        if answer is None or not 0 <= number < len(found):
            raise QuestionError("This is no longer in the conversation. Ask again.")
        cited = found[number]
        if isinstance(cited, Citation):
            return self._opened(cited, passage_of(answer, cited))
        return self.passage(answer.passages, number)

    def passage(self, passages: Sequence[Passage], number: int) -> str:
        """The document of the passage of this number."""
        if not 0 <= number < len(passages):
            raise QuestionError("This is no longer in the conversation. Ask again.")
        found = passages[number]
        citation = Citation(number + 1, found.source, found.start, found.end, found.text, found.page)
        return self._opened(citation, found)

    def document(self, source: str) -> str:
        """An indexed document, by its name."""
        return self._opened(Citation(1, source, 0, 0, ""), Passage(source, 0, 0, "", 0.0))

    def listed(self, documents: Sequence[Listed], sought: str | None) -> str:
        """The documents with each of these words in their name or title."""
        return documents_html(documents, sought or "", read_only=self.read_only)

    def add(self, paths: Sequence[str]) -> None:
        """Add uploaded files to the documents and update the index; `DocumentsError` names those refused."""
        self._may_change()
        refused: list[str] = []
        for path in paths:
            try:
                catalog.add(self.preparation.settings.documents, Path(path).name, Path(path))
            except DocumentsError as error:
                refused.append(str(error))
            finally:
                Path(path).unlink(missing_ok=True)
        if len(refused) < len(paths):
            self.preparation.build()
        if refused:
            raise DocumentsError(" ".join(refused))

    def remove(self, source: str) -> None:
        """Delete a file of the documents folder and update the index."""
        self._may_change()
        catalog.remove(self.preparation.settings.documents, source)
        self.preparation.build(may_be_empty=True)

    def rebuild(self) -> None:
        """Rebuild the index."""
        self._may_change()
        self.preparation.build(rebuild=True)

    def _opened(self, citation: Citation, passage: Passage) -> str:
        opened = self.preparation.ready().open(citation)
        stale = opened.sha256 is not None and catalog.is_stale(
            self.preparation.settings.documents, opened.source, opened.sha256
        )
        return source_html(opened, citation, passage, stale=stale)

    def _may_change(self) -> None:
        if self.read_only:
            raise SettingsError("This page is read-only: its documents can't be changed here.")


@dataclass(frozen=True, slots=True)
class Window:
    """A text, or the part of a long one around its quote; `left_out_before` and `_after` count characters."""

    before: str
    quote: str
    after: str
    left_out_before: int
    left_out_after: int


def status_html(text: str) -> str:
    """What the page says about the index."""
    return _render("status", text)


def hint_html(text: str) -> str:
    """What the page says where there is nothing else."""
    return _render("hint", text)


def source_html(opened: Opened, citation: Citation, passage: Passage, *, stale: bool) -> str:
    """The whole document with the quote marked, and what is known about it.

    Where the document no longer has the quote, the passage as it was quoted comes first. `stale` says that
    the file has changed since it was indexed.
    """
    facts = [opened.title, opened.date, None if opened.page is None else f"page {opened.page}"]
    if opened.start is None:
        start, end = citation.start, citation.end
        then = _window(passage.text, start - passage.start, end - passage.start)
        now = _window(opened.text, 0, 0) if opened.text else None
    else:
        start, end = opened.start, opened.start if opened.end is None else opened.end
        then, now = None, _window(opened.text, start, end)
    facts.append(f"characters {start}-{end}" if citation.quote else f"{len(opened.text):,} characters")
    return _render("source", opened.source, [*filter(None, facts)], [*_warnings(opened, stale)], then, now)


def documents_html(listed: Sequence[Listed], sought: str, *, read_only: bool) -> str:
    """The documents whose name or title has each of the words that are sought, with their states."""
    words = sought.casefold().split()
    found = [
        one for one in listed if all(word in f"{one.source} {one.title or ''}".casefold() for word in words)
    ]
    if not found:
        return hint_html("No document has that name." if words else "There are no documents.")
    return _render("documents", found[:MAX_LISTED], max(0, len(found) - MAX_LISTED), read_only)


def inside_html(answer: Answer) -> str:
    """How the answer was made: what was found, what the model was shown, how long it took."""
    return _render("inside", answer, place, matched, counted)


def _warnings(opened: Opened, stale: bool) -> Iterator[str]:
    if opened.start is None and not opened.text:
        yield "This document is no longer indexed."
    elif opened.start is None:
        yield "This document has changed since the question was asked and no longer has the quote."
    elif opened.changed:
        yield "This document has changed since the question was asked: the quote has moved."
    if stale:
        yield "The file has changed since it was indexed."


def _window(text: str, start: int, end: int) -> Window:
    """The text with the characters from start to end as the quote; of a long text, what is around them."""
    first = max(0, start - MAX_SHOWN_CHARS // 2) if len(text) > MAX_SHOWN_CHARS else 0
    last = min(len(text), max(end, first + MAX_SHOWN_CHARS))
    return Window(text[first:start], text[start:end], text[end:last], first, len(text) - last)
