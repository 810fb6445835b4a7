"""The functions behind the page's own HTTP interface, which Gradio's clients call by name.

Gradio describes them by their signatures and docstrings. It is not imported here: the caller passes the error
that it shows to its clients.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rag.errors import RagError
from rag.interfaces.api.service import Programs
from rag.interfaces.lifecycle import Preparation

LOOK_S = 0.5
"""How often to check whether the client is still connected."""


class Endpoints:
    """The functions `answer`, `search`, `documents` and `build`, each registered under its name."""

    def __init__(self, preparation: Preparation, *, refusal: Callable[[str], Exception]) -> None:
        """Serve what is prepared; a `RagError` is raised as `refusal(its message)`."""
        self._preparation = preparation
        self._programs = Programs(preparation.ready)
        self._refusal = refusal

    async def answer(
        self,
        question: str,
        history: list[list[str]] | None = None,
        since: str | None = None,
        until: str | None = None,
        sources: list[str] | None = None,
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Answer a question from the documents, or say that they don't answer it.

        history: earlier [question, answer text] pairs, oldest first.
        since, until: only documents dated so, such as 2016, 2016-05 or 2016-05-12.
        sources: only these documents.
        """
        with self._refusing():
            answering = asyncio.ensure_future(
                self._programs.answer(question, history=history, since=since, until=until, sources=sources)
            )
            try:
                # Gradio ends a cancelled call at once, but one whose client has left only where it yields.
                while not (await asyncio.wait((answering,), timeout=LOOK_S))[0]:
                    yield None
                yield asdict(answering.result())
            finally:
                answering.cancel()

    # The result of a call is the last value that is yielded.
    answer.__annotations__["return"] = dict[str, Any]

    def search(
        self,
        query: str,
        k: int = 10,
        since: str | None = None,
        until: str | None = None,
        sources: list[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Find the k passages nearest to a query, best first; since, until and sources as for answer."""
        with self._refusing():
            found = self._programs.search(query, k=k, since=since, until=until, sources=sources)
            return [asdict(passage) for passage in found]

    def documents(self) -> list[dict[str, Any]]:
        """List the documents, each with its state: indexed, changed, new, failed or gone."""
        with self._refusing():
            return [asdict(document) for document in self._preparation.documents()]

    def build(self, rebuild: bool = False) -> dict[str, Any]:
        """Update the index from the documents now, or rebuild it from nothing; say what changed."""
        with self._refusing():
            return asdict(self._preparation.build(rebuild=rebuild))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except RagError as error:
            raise self._refusal(str(error)) from error
