"""What other programs may ask, over HTTP and MCP alike; they are given the values of Python, as JSON."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from rag.answering.engine import Engine
from rag.errors import QuestionError
from rag.index.excerpts import Excerpt
from rag.retrieval.conversation import History
from rag.types import Event, Passage


@dataclass(frozen=True, slots=True)
class Programs:
    """Answers programs. `engine` gives the engine, or raises a `RagError` while there is none.

    A blank date, and an empty list of sources, is none: programs often send one for what they have no value
    for.
    """

    engine: Callable[[], Engine]

    def stream(
        self,
        question: str,
        *,
        stop: threading.Event,
        history: Sequence[Sequence[str]] = (),
        since: str | None = None,
        until: str | None = None,
        sources: Sequence[str] | None = None,
    ) -> Iterator[Event]:
        """As `Engine.stream`, which declines a history that isn't made of pairs."""
        return self.engine().stream(
            _encodable(question),
            history=cast(History, history),
            since=_date(since),
            until=_date(until),
            sources=sources or None,
            stop=stop,
        )

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        since: str | None = None,
        until: str | None = None,
        sources: Sequence[str] | None = None,
    ) -> tuple[Passage, ...]:
        """As `Engine.search`."""
        return self.engine().search(
            _encodable(query), k=k, since=_date(since), until=_date(until), sources=sources or None
        )

    def open_source(self, source: str, *, start: int = 0, end: int | None = None) -> Excerpt:
        """The indexed text of a document, never its file, as `Engine.text`."""
        if not isinstance(source, str):
            raise QuestionError(f"source is {source!r}; give the name of a document.")
        for name, place in (("start", start), ("end", end)):
            if place is not None and (not isinstance(place, int) or isinstance(place, bool)):
                raise QuestionError(f"{name} is {place!r}; give a number of characters.")
        return self.engine().text(_encodable(source), start=start, end=end)


def _encodable(text: str) -> str:
    """The text in characters that a reply can be encoded in; what is no text is left to be declined."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _date(given: str | None) -> str | None:
    return None if isinstance(given, str) and not given.strip() else given
