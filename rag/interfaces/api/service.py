"""What other programs may ask, over HTTP and MCP alike; results are those of Python, sent as JSON."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack, cast

from rag.answering.engine import Engine
from rag.errors import QuestionError
from rag.index.excerpts import Excerpt
from rag.interfaces.async_stream import answered
from rag.retrieval.conversation import History
from rag.types import Answer, Event, Passage


class Limits(TypedDict, total=False):
    """Which documents a question is asked of, as in `Engine.search`.

    A blank date and an empty list of sources mean no limit: programs often send them for a missing value.
    """

    since: str | None
    until: str | None
    sources: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Programs:
    """Answers programs. `engine` returns the engine, or raises a `RagError` while there is none."""

    engine: Callable[[], Engine]

    def stream(
        self,
        question: str,
        *,
        stop: threading.Event,
        history: Sequence[Sequence[str]] | None = None,
        **limits: Unpack[Limits],
    ) -> Iterator[Event]:
        """As `Engine.stream`, which refuses a history that isn't made of pairs."""
        history = cast(History, history or ())
        return self.engine().stream(_encodable(question), stop=stop, history=history, **_set(limits))

    async def answer(
        self, question: str, *, history: Sequence[Sequence[str]] | None = None, **limits: Unpack[Limits]
    ) -> Answer:
        """As `Engine.answer`, in a thread of its own, which stops when this is cancelled."""
        return await answered(lambda left: self.stream(question, stop=left, history=history, **limits))

    def search(self, query: str, *, k: int = 10, **limits: Unpack[Limits]) -> tuple[Passage, ...]:
        """As `Engine.search`."""
        return self.engine().search(_encodable(query), k=k, **_set(limits))

    def open_source(self, source: str, *, start: int = 0, end: int | None = None) -> Excerpt:
        """The indexed text of a document, never its file, as `Engine.text`."""
        if not isinstance(source, str):
            raise QuestionError(f"source is {source!r}; give the name of a document.")
        for name, place in (("start", start), ("end", end)):
            if place is not None and (not isinstance(place, int) or isinstance(place, bool)):
                raise QuestionError(f"{name} is {place!r}; give a number of characters.")
        return self.engine().text(_encodable(source), start=start, end=end)


def _encodable(text: str) -> str:
    """The text in characters that UTF-8 has; anything but text is passed on, to be refused."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _set(limits: Limits) -> Limits:
    """The limits that are set; a value of a wrong type is passed on, to be refused."""
    blank = {name for name, value in limits.items() if value in (None, [], ()) or not str(value).strip()}
    return cast(Limits, {name: value for name, value in limits.items() if name not in blank})
