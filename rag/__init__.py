"""Question answering over a folder of documents that can only quote.

    import rag

    rag.build("seeds", index="index")
    print(rag.answer("Who is the Kremlin spokesman?").text)

Every function takes the settings that it needs as keyword arguments; what isn't given comes from the
`RAG_*` environment variables, then from the defaults (see `rag.settings`). Models and index are loaded
once per process. Every error that a user can put right is a `RagError`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

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
from rag.settings import resolve
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
    "answer",
    "build",
    "load",
    "search",
]

StrPath = str | PathLike[str]


def build(
    documents: StrPath | None = None,
    *,
    index: StrPath | None = None,
    embedder: StrPath | None = None,
    precision: str | None = None,
    retrieval: str | None = None,
    ray: str | None = None,
    rebuild: bool = False,
) -> BuildReport:
    """Bring the index in step with the documents folder: only what is new or changed is embedded.

    `rebuild` starts from nothing, which mends a damaged index and allows another embedder. `precision` is
    that of the embedder's weights, `int8` or `fp32`; an index is read with what built it. An index in Milvus
    is made for `hybrid` retrieval, or for `dense`. `ray` is the address of a Ray cluster, which then embeds.
    `DocumentsError` when no document is readable, `IndexFileError` when the index is damaged, locked
    or of another embedder, `ModelError` when the embedder is missing. The old index stays then.
    """
    from rag import wiring

    settings = resolve(
        documents=documents, index=index, embedder=embedder, precision=precision, retrieval=retrieval
    )
    return wiring.build(settings, ray=ray, rebuild=rebuild)


def answer(
    question: str,
    *,
    history: "History" = (),
    since: "Date | None" = None,
    until: "Date | None" = None,
    sources: Sequence[str] | None = None,
    index: StrPath | None = None,
    model: StrPath | None = None,
    embedder: StrPath | None = None,
    precision: str | None = None,
    retrieval: str | None = None,
    reranker: StrPath | None = None,
    reader: StrPath | None = None,
    mode: str | None = None,
    threshold: float | None = None,
) -> Answer:
    """The answer with exact citations, or the abstention, which is an answer too.

    `history` is earlier (question, answer text) pairs, oldest first. `since` and `until` are days, months or
    years (2016-05-12, 2016-05, 2016) and leave only documents with such a date; `sources` leaves only these
    documents. `QuestionError` for an empty or over-long question, for what is no date and for a source that
    the index doesn't have, else as `load`.
    """
    engine = load(
        index=index,
        model=model,
        embedder=embedder,
        precision=precision,
        retrieval=retrieval,
        reranker=reranker,
        reader=reader,
        mode=mode,
        threshold=threshold,
    )
    return engine.answer(question, history=history, since=since, until=until, sources=sources)


def search(
    query: str,
    *,
    k: int = 10,
    history: "History" = (),
    since: "Date | None" = None,
    until: "Date | None" = None,
    sources: Sequence[str] | None = None,
    index: StrPath | None = None,
    embedder: StrPath | None = None,
    precision: str | None = None,
    retrieval: str | None = None,
    reranker: StrPath | None = None,
) -> tuple[Passage, ...]:
    """The k passages nearest to the query, best first, without a language model.

    Fewer when there are fewer. `history`, `since`, `until`, `sources` and errors as in `answer`.
    """
    from rag import wiring
    from rag.answering.engine import search as search_with

    retriever = wiring.retriever(
        resolve(index=index, embedder=embedder, precision=precision, retrieval=retrieval, reranker=reranker)
    )
    return search_with(retriever, query, history=history, k=k, since=since, until=until, sources=sources)


def load(
    *,
    index: StrPath | None = None,
    model: StrPath | None = None,
    embedder: StrPath | None = None,
    precision: str | None = None,
    retrieval: str | None = None,
    reranker: StrPath | None = None,
    reader: StrPath | None = None,
    mode: str | None = None,
    threshold: float | None = None,
) -> "Engine":
    """The engine for these settings, with its models, loaded once per process.

    `retrieval` is `hybrid` or `dense`, `mode` is `quote`, `compose` or `auto`; a question is answered when
    the confidence is at least `threshold`, 0 to 1 (see `rag.answering.engine`). `SettingsError` for another
    value.

    `IndexFileError` when there is no usable index, `ModelError` when a model is missing (one that
    llama.cpp can't load is told of by the first question), `PromptError` when a template of `prompts/`
    can't be used.
    """
    from rag import wiring

    settings = resolve(
        index=index,
        model=model,
        embedder=embedder,
        precision=precision,
        retrieval=retrieval,
        reranker=reranker,
        reader=reader,
        mode=mode,
        threshold=threshold,
    )
    return wiring.engine(settings)
