"""Settings → the real parts, joined: the one place that decides what is loaded, and when."""

import functools
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from rag import doctor, holdings, store
from rag.downloads import download
from rag.encoders import (
    CrossEncoderReranker,
    Embedder,
    Reranker,
    SentenceTransformerEmbedder,
    token_module,
)
from rag.engine import Engine
from rag.errors import ModelError
from rag.generation import LlamaModel
from rag.holdings import Listed
from rag.indexing import Progress, build_index, embedder_identity
from rag.local import LocalIndex
from rag.models import (
    Weights,
    embedding_dimension,
    find_embedder,
    find_language_model,
    find_reader,
    find_reranker,
    pooled,
)
from rag.networks import cached
from rag.prompt import read_templates
from rag.quantised import QuantisedEmbedder
from rag.reader import CrossEncoderReader, Reader, reader_module
from rag.retrieval import Retriever
from rag.settings import Precision, Settings
from rag.types import BuildReport, EmbedderIdentity, Failure
from rag.worker import Worker

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def once(make: Callable[[K], V]) -> Callable[[K], V]:
    """The same part for the same key in one process, made by one thread while others wait."""
    lock = threading.Lock()
    made: dict[K, V] = {}

    @functools.wraps(make)
    def part(key: K) -> V:
        with lock:
            if key not in made:
                made[key] = make(key)
            return made[key]

    return part


def build(
    settings: Settings,
    *,
    rebuild: bool = False,
    may_be_empty: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring the index in step with the documents folder (see `rag.indexing`).

    Without `progress`, a bar on stderr shows it, where stderr is a terminal.
    """
    weights = find_embedder(settings.embedder, download)
    return build_index(
        settings.documents,
        settings.index,
        identity=_identity(weights, settings.precision),
        load_embedder=lambda: _embedder((weights, settings.precision)),
        progress=progress or _bar(),
        rebuild=rebuild,
        may_be_empty=may_be_empty,
    )


def examine(settings: Settings) -> doctor.Diagnosis:
    """Whether the index is whole and in step with the documents folder (see `rag.doctor`)."""
    weights = find_embedder(settings.embedder, download)
    return doctor.examine(settings.documents, settings.index, _identity(weights, settings.precision))


def listed(settings: Settings, failed: Sequence[Failure] = ()) -> tuple[Listed, ...]:
    """The documents of the folder and of the index, each with its state (see `rag.holdings`).

    `IndexFileError` for an index that can't be read; where there is none, none is in it.
    """
    if not (settings.index / "current").is_file():
        return holdings.listed(settings.documents, None, failed)
    with store.reading(settings.index) as snapshot:
        return holdings.listed(settings.documents, snapshot, failed)


def repair(settings: Settings) -> None:
    """Mend what can be mended in the index without the documents (see `rag.doctor`)."""
    weights = find_embedder(settings.embedder, download)
    doctor.repair(settings.index, _identity(weights, settings.precision))


def retriever(settings: Settings) -> Retriever:
    """Search over the index, without a language model."""
    return _retriever((settings.index, settings.embedder, settings.precision, settings.reranker))


@once
def _retriever(named: tuple[Path, str, Precision, str]) -> Retriever:
    path, embedder, precision, reranker = named
    weights = find_embedder(embedder, download)
    reranking = find_reranker(reranker, download)
    index = LocalIndex(path, _identity(weights, precision))
    return Retriever(index, _embedder((weights, precision)), _reranker(reranking) if reranking else None)


@once
def engine(settings: Settings) -> Engine:
    """Answers over the index. The language model is loaded in its own thread, from now on.

    A file that llama.cpp can't load is told of by the first question that needs it.
    """
    weights = find_language_model(settings.model, download)
    templates = read_templates()
    worker = _worker(weights)  # first, so that it loads meanwhile
    return Engine(
        retriever=retriever(settings),
        reader=reader(settings.reader),
        worker=worker,
        model_name=weights.name,
        templates=templates,
        mode=settings.mode,
        threshold=settings.threshold,
    )


def reader(named: str) -> Reader | None:
    """What scores how well a sentence answers; None for `none`."""
    found = find_reader(named)
    return _reader(found) if found else None


@once
def _reader(weights: tuple[Weights, Weights]) -> Reader:
    base, learnt = weights
    folder = base.path.parent
    key = f"{base.sha256[:16]}-{learnt.sha256[:16]}"
    try:
        network = cached(key, functools.partial(reader_module, folder, learnt.path), eight_bits=False)
    except ModelError as error:
        raise ModelError(f"{error} Go without the reader: --reader none") from error
    return CrossEncoderReader(network, folder, name=str(learnt.path))


@once
def _worker(weights: Weights) -> Worker:
    """The one thread that has the model, whatever the indexes are that it answers from."""
    worker = Worker(lambda: LlamaModel(weights.path, weights.name))
    worker.warm()
    return worker


def _bar() -> Progress:
    from tqdm import tqdm

    bar = tqdm(desc="Embedding", unit="chunk", file=sys.stderr, disable=None, total=0, leave=False)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show


def _identity(weights: Weights, precision: Precision) -> EmbedderIdentity:
    folder = weights.path.parent
    allowed = precision if pooled(folder) else "fp32"
    return embedder_identity(weights.name, weights.sha256, embedding_dimension(folder), allowed)


@once
def _reranker(weights: Weights) -> Reranker:
    return CrossEncoderReranker(weights.path.parent)


@once
def _embedder(chosen: tuple[Weights, Precision]) -> Embedder:
    weights, precision = chosen
    folder = weights.path.parent
    dimension = embedding_dimension(folder)
    if precision == "int8" and (how := pooled(folder)) is not None:
        make = functools.partial(token_module, folder, how)
        try:
            network = cached(f"{weights.sha256[:16]}-int8", make, eight_bits=True)
        except ModelError as error:
            raise ModelError(f"{error} Use its weights as they are: --precision fp32") from error
        return QuantisedEmbedder(network, folder, how, dimension=dimension)
    embedder = SentenceTransformerEmbedder(folder)
    if embedder.dimension != dimension:
        raise ModelError(f"{folder} says {dimension} dimensions, but its vectors have {embedder.dimension}.")
    return embedder
