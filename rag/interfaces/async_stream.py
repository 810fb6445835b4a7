"""A blocking stream → one that an event loop can await and leave."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rag.types import Answer, Event


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last result of the thread: the error that ended it, or None."""

    error: BaseException | None


async def events(start: Callable[[threading.Event], Iterator[Event]]) -> AsyncGenerator[Event, None]:
    """The events of the stream that `start` returns, which runs in a thread of its own.

    When this is closed or cancelled, the `threading.Event` passed to `start` is set, so that the stream
    ends soon; nobody waits for it.
    """
    loop = asyncio.get_running_loop()
    results: asyncio.Queue[Any] = asyncio.Queue()
    left = threading.Event()

    def put(result: Event | _Ended) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(results.put_nowait, result)

    def run() -> None:
        try:
            stream: Any = start(left)
            with contextlib.closing(stream):
                for event in stream:
                    if left.is_set():
                        return
                    put(event)
        except BaseException as error:  # noqa: BLE001  it is raised in the event loop
            put(_Ended(error))
        else:
            put(_Ended(None))

    threading.Thread(target=run, name="answering", daemon=True).start()
    try:
        while not isinstance(result := await results.get(), _Ended):
            yield result
        if result.error is not None:
            raise result.error
    finally:
        left.set()


async def answered(start: Callable[[threading.Event], Iterator[Event]]) -> Answer:
    """The answer that the stream ends with."""
    async with contextlib.aclosing(events(start)) as found:
        async for event in found:
            if isinstance(event, Answer):
                return event
    raise AssertionError("a stream ends with its Answer")
