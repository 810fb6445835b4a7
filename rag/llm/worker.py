"""One thread owns the language model: questions wait their turn, and a cancelled one stops computing.

llama.cpp isn't thread-safe: two calls at once crash or hang the process. Several threads may use a model
behind servers at once.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from rag.llm.base import LanguageModel
from rag.types import Waiting

T = TypeVar("T")
Work: TypeAlias = Callable[[LanguageModel, Callable[[], bool]], Generator[T, None, None]]
"""Work with the model; the second argument says whether to stop."""

_LOOK_S = 0.2
"""How often a waiting thread checks whether its work is to stop."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last result of a job: the error that ended it, or None."""

    error: Exception | None


@dataclass(eq=False, slots=True)
class _Job:
    work: Work[Any]
    stop: threading.Event
    results: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)
    left: threading.Event = field(default_factory=threading.Event)
    ahead: int = 0

    def cancelled(self) -> bool:
        return self.left.is_set() or self.stop.is_set()


def _next(job: _Job) -> Any:
    """The next result of the job; `_Ended` once it is to stop."""
    while True:
        try:
            return job.results.get(timeout=_LOOK_S)
        except queue.Empty:
            if job.stop.is_set():
                return _Ended(None)


class Worker:
    """Runs work on a model, loaded when first used; at most `at_once` pieces of work at the same time."""

    def __init__(self, load: Callable[[], LanguageModel], *, at_once: int = 1) -> None:
        """Start the threads; `load` is called in one of them.

        `model` is None until then. Only work may use it; anybody may read its name and sizes.
        """
        self.model: LanguageModel | None = None
        self._load = load
        self._jobs: list[_Job] = []
        self._at_once = at_once
        self._running = 0
        self._warming = False
        self._loading = threading.Lock()
        self._tried = 0
        self._changed = threading.Condition()
        for _ in range(at_once):
            threading.Thread(target=self._serve, name="language-model", daemon=True).start()

    def run(self, work: Work[T], *, stop: threading.Event | None = None) -> Iterator[T | Waiting]:
        """What the work yields, after `Waiting` each time the place in the queue changes.

        Closing the iterator cancels the work: one that waits never starts, one that runs stops
        computing. So does `stop`, once another thread sets it, and the iterator ends then.
        """
        job = _Job(work, stop or threading.Event())
        with self._changed:
            self._jobs.append(job)
            self._tell_places()
            self._changed.notify()
        try:
            while not isinstance(result := _next(job), _Ended):
                yield result
            if result.error is not None:
                raise result.error
        finally:
            job.left.set()
            with self._changed:
                if job in self._jobs:
                    self._jobs.remove(job)
                    self._tell_places()

    def warm(self) -> None:
        """Load the model now. If that fails, waiting questions get the error; a later one tries again."""
        with self._changed:
            self._warming = True
            self._changed.notify()

    def _loaded(self) -> bool:
        """Load the model, unless another thread has; if that fails, waiting jobs get the error."""
        tried = self._tried
        with self._loading:
            if self.model is None and self._tried == tried:
                try:
                    self.model = self._load()
                except Exception as error:  # noqa: BLE001  it is raised where the work was asked for
                    with self._changed:
                        self._tried += 1
                        waiting, self._jobs = self._jobs, []
                    for job in waiting:
                        job.results.put(_Ended(error))
            return self.model is not None

    def _tell_places(self) -> None:
        waiting = [job for job in self._jobs if not job.cancelled()]
        for ahead, job in enumerate(waiting, self._running - self._at_once + 1):
            if ahead > 0 and ahead != job.ahead:
                job.ahead = ahead
                job.results.put(Waiting(ahead))

    def _serve(self) -> None:
        while True:
            error = None
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._warming)
                self._warming = False
            # Before a job is taken: one that waits for the model to load is not behind another job.
            if not self._loaded():
                continue
            with self._changed:
                if not self._jobs:
                    continue
                job = self._jobs.pop(0)
                self._running += 1
                self._tell_places()
            try:
                if self.model is not None and not job.cancelled():
                    with contextlib.closing(job.work(self.model, job.cancelled)) as results:
                        for result in results:
                            job.results.put(result)
                            if job.cancelled():
                                break
            except Exception as raised:  # noqa: BLE001  it is raised where the work was asked for
                error = raised
            with self._changed:
                self._running -= 1
            job.results.put(_Ended(error))
