"""Settings → the real parts, joined: the one place that decides what is loaded, and when."""

import functools
import socket
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rag.answering.engine import Engine
from rag.errors import IndexFileError, ModelError
from rag.index.base import BlockWriter, Index
from rag.index.disk import index as disk_index
from rag.index.disk import store
from rag.indexing import blocks, catalog, doctor
from rag.indexing.build import Progress, build_index, embedder_identity
from rag.indexing.catalog import Listed
from rag.llm.llama import LlamaModel
from rag.llm.prompts import read_templates
from rag.llm.worker import Worker
from rag.models.cross_encoder import CrossEncoderReranker, Reranker
from rag.models.embedder import Embedder, SentenceTransformerEmbedder, token_module
from rag.models.hub import download
from rag.models.int8_embedder import QuantisedEmbedder
from rag.models.openvino_runtime import cached
from rag.models.reader import CrossEncoderReader, Reader, reader_module
from rag.models.registry import (
    Weights,
    embedding_dimension,
    find_embedder,
    find_language_model,
    find_reader,
    find_reranker,
    pooled,
)
from rag.retrieval.retriever import Retriever
from rag.settings import Precision, Retrieval, Settings
from rag.types import BuildReport, EmbedderIdentity, Failure
from rag.uris import MilvusAddress, Place, ServedModel, is_served, served_model

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
    ray: str | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring the index in step with the documents folder (see `rag.indexing.build`).

    With the address of a Ray cluster its workers do it (see `rag.indexing.ray_cluster`). Without `progress`,
    a bar on stderr shows it, where stderr is a terminal.
    """
    weights = find_embedder(settings.embedder, download)
    if ray is not None or isinstance(settings.index, MilvusAddress):
        return blocks.build_blocks(
            settings.documents,
            functools.partial(_writing, settings, rebuild=rebuild),
            _run(settings, ray),
            progress=progress or _bar("document"),
            may_be_empty=may_be_empty,
        )
    return build_index(
        settings.documents,
        settings.index,
        identity=_identity(weights, settings.precision),
        load_embedder=lambda: _embedder((weights, settings.precision)),
        progress=progress or _bar("chunk"),
        rebuild=rebuild,
        may_be_empty=may_be_empty,
    )


def _writing(settings: Settings, *, rebuild: bool) -> AbstractContextManager[BlockWriter]:
    identity = _identity_of(settings)
    if isinstance(settings.index, Path):
        return disk_index.writing(settings.index, identity, rebuild=rebuild)
    from rag.index import milvus

    return milvus.writing(settings.index, identity, keyword=settings.retrieval == "hybrid", rebuild=rebuild)


def _run(settings: Settings, ray: str | None) -> blocks.Run:
    """What embeds files and writes them: this process, or a Ray cluster."""
    if ray is None:
        return blocks.in_this_process(functools.partial(embedder, settings))
    from rag.indexing import ray_cluster

    return ray_cluster.on_ray(ray, functools.partial(embedder_of, _identity_of(settings), settings))


def embedder_of(identity: EmbedderIdentity, settings: Settings) -> Embedder:
    """The embedder that these settings name on this machine; `ModelError` if it is another than there."""
    if (found := _identity_of(settings)) != identity:
        raise ModelError(
            f"{socket.gethostname()} has {_told(found)}, but the machine that began the build has "
            f"{_told(identity)}. Install the same release of rag there, and the same weights."
        )
    return embedder(settings)


def _told(identity: EmbedderIdentity) -> str:
    return (
        f"{identity.name} (sha256 {identity.weights_sha256[:12]}…, {identity.dimension} dimensions, "
        f"{identity.precision}, chunks {identity.chunking})"
    )


def embedder(settings: Settings) -> Embedder:
    """The embedder, loaded once per process."""
    return _embedder((find_embedder(settings.embedder, download), settings.precision))


def has_index(place: Place) -> bool:
    """Whether there is an index to ask; `IndexFileError` if that can't be told."""
    if isinstance(place, Path):
        return (place / "current").is_file()
    from rag.index import milvus

    return milvus.exists(place)


def open_index(settings: Settings) -> Index:
    """The index, to be read; `IndexFileError` unless there is one that these settings built."""
    weights = find_embedder(settings.embedder, download)
    return _index((settings.index, weights, settings.precision, settings.retrieval))


@once
def _index(named: tuple[Place, Weights, Precision, Retrieval]) -> Index:
    place, weights, precision, retrieval = named
    identity = _identity(weights, precision)
    if isinstance(place, Path):
        return disk_index.LocalIndex(place, identity)
    from rag.index import milvus

    return milvus.MilvusIndex(place, identity, keyword=retrieval == "hybrid")


def examine(settings: Settings) -> doctor.Diagnosis:
    """Whether the index is whole and in step with the documents folder (see `rag.indexing.doctor`)."""
    if isinstance(settings.index, MilvusAddress):
        with open_index(replace(settings, retrieval="dense")).open() as state:
            return doctor.examine_state(settings.documents, state, settings.index)
    return doctor.examine(settings.documents, settings.index, _identity_of(settings))


def listed(settings: Settings, failed: Sequence[Failure] = ()) -> tuple[Listed, ...]:
    """The documents of the folder and of the index, each with its state (see `rag.indexing.catalog`).

    `IndexFileError` for an index that can't be read; where there is none, none is in it.
    """
    if not has_index(settings.index):
        return catalog.listed(settings.documents, {}, failed)
    if isinstance(settings.index, MilvusAddress):
        with open_index(replace(settings, retrieval="dense")).open() as state:
            return catalog.listed(settings.documents, state.documents(), failed)
    with store.reading(settings.index) as snapshot:
        return catalog.listed(settings.documents, snapshot.documents(), failed)


def repair(settings: Settings) -> None:
    """Mend what can be mended in the index without the documents (see `rag.indexing.doctor`)."""
    if isinstance(settings.index, MilvusAddress):
        raise IndexFileError(f"{settings.index} is mended by a build: rag build, or rag build --rebuild")
    doctor.repair(settings.index, _identity_of(settings))


def retriever(settings: Settings) -> Retriever:
    """Search over the index, without a language model."""
    # With what else is named left alone: engines with other language models share it.
    return _retriever(replace(settings, documents=Path(), model="", reader="", mode="auto", threshold=0.0))


@once
def _retriever(settings: Settings) -> Retriever:
    reranking = find_reranker(settings.reranker, download)
    return Retriever(
        open_index(settings),
        embedder(settings),
        _reranker(reranking) if reranking else None,
        keyword=settings.retrieval == "hybrid",
    )


@once
def engine(settings: Settings) -> Engine:
    """Answers over the index. The language model is loaded in its own thread, from now on.

    A file that llama.cpp can't load is told of by the first question that needs it.
    """
    named = served_model(settings.model) if is_served(settings.model) else None
    found = named or find_language_model(settings.model, download)
    templates = read_templates()
    worker = _worker(found)  # first, so that it loads meanwhile
    return Engine(
        retriever=retriever(settings),
        reader=reader(settings.reader),
        worker=worker,
        model_name=found.name,
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
def _worker(found: Weights | ServedModel) -> Worker:
    """What has the model, whatever the indexes are that it answers from: one thread, or some for servers."""
    if isinstance(found, Weights):
        worker = Worker(lambda: LlamaModel(found.path, found.name))
    else:
        from rag.llm.remote import AT_ONCE, RemoteModel

        worker = Worker(lambda: RemoteModel(found), at_once=AT_ONCE * len(found.urls))
    worker.warm()
    return worker


def _bar(unit: str) -> Progress:
    from tqdm import tqdm

    bar = tqdm(desc="Embedding", unit=unit, file=sys.stderr, disable=None, total=0, leave=False)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show


def _identity_of(settings: Settings) -> EmbedderIdentity:
    return _identity(find_embedder(settings.embedder, download), settings.precision)


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
