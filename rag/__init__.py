"""Question answering over a folder of documents that can only quote.

    import rag

    rag.build("seeds", index="index")
    print(rag.answer("Who is the Kremlin spokesman?").text)

Every function takes the settings that it needs as keyword arguments, declared in `rag.settings`; what isn't
given comes from the `RAG_*` environment variables, then from the defaults. Models and index are loaded once
per process. Every error that a user can put right is a `RagError`.
"""

import os

# Before a library brings OpenMP, which reads it then: threads that wait spin, and take the cores from the
# others on a busy machine (see rag/DECISIONS.md). A value of the user's own stays.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from rag.errors import (
    DocumentsError,
    EvaluationError,
    IndexFileError,
    ModelError,
    PromptError,
    QuestionError,
    RagError,
    SettingsError,
)
from rag.settings import AnswerOptions, IndexOptions, SearchOptions, StrPath, resolve
from rag.types import Answer, BuildReport, Citation, Event, Evidence, Failure, Match, Passage, Waiting

if TYPE_CHECKING:
    from rag.answering.engine import Engine
    from rag.retrieval.conversation import History
    from rag.retrieval.filters import Date

__all__ = [
    "Answer",
    "BuildReport",
    "Citation",
    "DocumentsError",
    "EvaluationError",
    "Event",
    "Evidence",
    "Failure",
    "IndexFileError",
    "Match",
    "ModelError",
    "Passage",
    "PromptError",
    "QuestionError",
    "RagError",
    "SettingsError",
    "Waiting",
    "__version__",
    "answer",
    "build",
    "load",
    "search",
]

__version__ = "0.2.0"


def build(
    documents: StrPath | None = None,
    *,
    ray: str | None = None,
    rebuild: bool = False,
    **settings: Unpack[IndexOptions],
) -> BuildReport:
    """Bring the index in step with the documents folder: only what is new or changed is embedded.

    `rebuild` starts from nothing, which repairs a damaged index and allows another embedder. An index in
    Milvus is made for `hybrid` retrieval, or for `dense`. `ray` is the address of a Ray cluster, which then
    embeds. `DocumentsError` when no document is readable, `IndexFileError` when the index is damaged, locked
    or of another embedder, `ModelError` when the embedder is missing. The old index stays then.
    """
    from rag import wiring

    return wiring.build(resolve("build", documents=documents, **settings), ray=ray, rebuild=rebuild)


def answer(
    question: str,
    *,
    history: "History" = (),
    since: "Date | None" = None,
    until: "Date | None" = None,
    sources: Sequence[str] | None = None,
    **settings: Unpack[AnswerOptions],
) -> Answer:
    """The answer with exact citations, or the abstention, which is an answer too.

    `history` is earlier (question, answer text) pairs, oldest first. `since` and `until` are days, months or
    years (2016-05-12, 2016-05, 2016) and leave only documents with such a date; `sources` leaves only these
    documents. `QuestionError` for an empty or over-long question, for what is no date and for a source that
    the index doesn't have, else as `load`.
    """
    engine = load(**settings)
    return engine.answer(question, history=history, since=since, until=until, sources=sources)


def search(
    query: str,
    *,
    k: int = 10,
    history: "History" = (),
    since: "Date | None" = None,
    until: "Date | None" = None,
    sources: Sequence[str] | None = None,
    **settings: Unpack[SearchOptions],
) -> tuple[Passage, ...]:
    """The k passages nearest to the query, best first, without a language model.

    Fewer when there are fewer. `history`, `since`, `until`, `sources` and errors as in `answer`.
    """
    from rag import wiring
    from rag.answering.engine import search as search_with

    retriever = wiring.retriever(resolve("search", **settings))
    return search_with(retriever, query, history=history, k=k, since=since, until=until, sources=sources)


def load(**settings: Unpack[AnswerOptions]) -> "Engine":
    """The engine for these settings, with its models, loaded once per process.

    `SettingsError` for a value that a setting can't have, `IndexFileError` when there is no usable index,
    `ModelError` when a model is missing (of one that llama.cpp can't load the first question says so),
    `PromptError` when a template of `prompts/` can't be used.
    """
    from rag import wiring

    return wiring.engine(resolve("ask", **settings))
