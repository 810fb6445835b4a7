"""Settings → the real parts, joined: the one place that decides what is loaded, and when."""

import functools
import socket
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rag.answering.engine import Engine
from rag.errors import ModelError
from rag.index.base import Backend, Index
from rag.index.disk.backend import DiskBackend
from rag.indexing import catalog, doctor
from rag.indexing.build import EmbedFiles, Progress, build_index, embedder_identity, in_this_process
from rag.indexing.catalog import Listed
from rag.indexing.doctor import Diagnosis
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
from rag.settings import Precision, Settings, resolve_secrets
from rag.types import BuildReport, EmbedderIdentity, Failure
from rag.uris import ServedModel, is_served, served_model

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


def backend(settings: Settings) -> Backend:
    """The place where these settings keep the index: a folder, or Milvus."""
    if isinstance(settings.index, Path):
        return DiskBackend(settings.index)
    from rag.index.milvus.backend import MilvusBackend

    return MilvusBackend(settings.index, keyword=settings.retrieval == "hybrid")


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
    place, identity = backend(settings), identity_of(settings)
    return build_index(
        settings.documents,
        functools.partial(place.write, identity, rebuild=rebuild),
        _embedding(settings, identity, ray, batch_texts=place.batch_texts),
        progress=progress or _bar(),
        may_be_empty=may_be_empty,
    )


def _embedding(
    settings: Settings, identity: EmbedderIdentity, ray: str | None, *, batch_texts: int
) -> EmbedFiles:
    """What embeds files: this process, or a Ray cluster."""
    if ray is None:
        return in_this_process(functools.partial(embedder, settings), batch_texts=batch_texts)
    from rag.indexing.ray_cluster import on_ray

    return on_ray(ray, functools.partial(embedder_of, identity, settings))


def embedder_of(identity: EmbedderIdentity, settings: Settings) -> Embedder:
    """The embedder that these settings name on this machine; `ModelError` if it has another identity."""
    if (local := identity_of(settings)) != identity:
        raise ModelError(
            f"{socket.gethostname()} has {_described(local)}, but the machine that began the build has "
            f"{_described(identity)}. Install the same release of rag there, and the same weights."
        )
    return embedder(settings)


def _described(identity: EmbedderIdentity) -> str:
    return (
        f"{identity.name} (sha256 {identity.weights_sha256[:12]}…, {identity.dimension} dimensions, "
        f"{identity.precision}, chunks {identity.chunking})"
    )


def embedder(settings: Settings) -> Embedder:
    """The embedder, loaded once per process."""
    return _embedder((find_embedder(settings.embedder, download), settings.precision))


def open_index(settings: Settings) -> Index:
    """The index, to be read; `IndexFileError` unless there is one that these settings built."""
    named = replace(settings, documents=Path(), reranker="", model="", reader="", mode="auto", threshold=0.0)
    return _index(named)


@once
def _index(settings: Settings) -> Index:
    return backend(settings).open(identity_of(settings))


def examine(settings: Settings) -> Diagnosis:
    """Whether the index is intact and in step with the documents folder (see `rag.indexing.doctor`)."""
    return doctor.examine(settings.documents, backend(settings), identity_of(settings))


def repair(settings: Settings) -> None:
    """Repair what can be repaired in the index without the documents."""
    backend(settings).repair(identity_of(settings))


def listed(settings: Settings, failed: Sequence[Failure] = ()) -> tuple[Listed, ...]:
    """The documents of the folder and of the index, each with its state (see `rag.indexing.catalog`).

    `IndexFileError` for an index that can't be read; where there is none, no document is in it.
    """
    return catalog.listed(settings.documents, backend(settings).documents(), failed)


def retriever(settings: Settings) -> Retriever:
    """Search over the index, without a language model."""
    # Other settings make no difference: engines with other language models share it.
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

    A file that llama.cpp can't load is reported by the first question that needs it.
    """
    named = served_model(settings.model, resolve_secrets().model_key) if is_served(settings.model) else None
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


def _bar() -> Progress:
    from tqdm import tqdm

    bar = tqdm(
        desc="Embedding", unit="B", unit_scale=True, file=sys.stderr, disable=None, total=0, leave=False
    )

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show


def identity_of(settings: Settings) -> EmbedderIdentity:
    """The identity of the embedder that the settings name, without loading it."""
    weights = find_embedder(settings.embedder, download)
    folder = weights.path.parent
    precision = settings.precision if pooled(folder) else "fp32"
    return embedder_identity(weights.name, weights.sha256, embedding_dimension(folder), precision)


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
