"""Files embedded by the workers of a Ray cluster: the only module that imports ray.

Each worker loads the embedder once and takes block after block. It writes into an index in Milvus itself;
into an index in a folder only the process that began the build can write, so blocks come back to it.
"""

import contextlib
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rag.documents.folder import File
from rag.documents.sandbox import Sandbox
from rag.errors import RagError, SettingsError, how_to_install
from rag.index.base import EmbeddedDocument, IndexWriter
from rag.indexing.build import EmbedFiles, Outcome, embed_documents, outcome, read_and_cut
from rag.models.embedder import Embedder
from rag.types import Failure

BLOCK = 32
"""Files that a worker embeds together: with fewer, texts of one length are rarer, and take more padding."""

_REACHED_S = 5.0
_RETRIES = 2
"""How often a block is given to another worker when one dies."""

Connect = Callable[[], IndexWriter]
"""Makes a worker's own writer."""


def on_ray(address: str, load_embedder: Callable[[], Embedder]) -> EmbedFiles:
    """Embed by the workers of the cluster at this address, as many at once as it has processors.

    They need this package, and the documents and the embedder under the same paths. Ray gives the block of a
    worker that dies to another one; a file that ends its worker each time is reported as unreadable.
    `SettingsError` when no cluster answers, and any `RagError` of a worker.
    """

    def embed(todo: Sequence[File], writer: IndexWriter, _: Callable[[int], None]) -> Iterator[Outcome]:
        if not todo:
            return
        connect = writer.connect()
        lacking = {file.source: file for file in todo}
        with _connected(address) as ray:
            for size in (BLOCK, 1):  # alone, a file that ends its worker takes no other along
                for items in _embedded(ray, address, [*lacking.values()], size, load_embedder, connect):
                    writer.upsert([item for item in items if isinstance(item, EmbeddedDocument)])
                    for item in items:
                        reported = outcome(item) if isinstance(item, EmbeddedDocument) else item
                        del lacking[reported.source]
                        yield reported
        for source in lacking:
            yield Failure(source, f"ended the worker that read it, {1 + _RETRIES} times")

    return embed


def _embedded(
    ray: Any,
    address: str,
    files: Sequence[File],
    size: int,
    load_embedder: Callable[[], Embedder],
    connect: Connect | None,
) -> Iterator[Sequence[Any]]:
    """The outcomes or documents of each block of `size` files, without files that ended their worker."""
    blocks = [{"block": pickle.dumps(files[at : at + size])} for at in range(0, len(files), size)]
    if not blocks:
        return
    dataset = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
        _EmbeddingWorker,
        fn_constructor_args=(load_embedder, connect),
        batch_size=1,
        num_cpus=1,
        concurrency=(1, max(int(ray.cluster_resources().get("CPU", 1)), 1)),
        max_task_retries=_RETRIES,
    )
    try:
        for row in dataset.iter_rows():
            items = pickle.loads(row["items"])
            if isinstance(items, RagError):
                raise items
            yield items
    except ray.exceptions.RayError as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SettingsError(
            f"The Ray cluster at {address} ended the build: {line}. Look at its log, and build again."
        ) from error


class _EmbeddingWorker:
    """Reads, chunks and embeds blocks of files in a process of Ray's, which does nothing else."""

    def __init__(self, load_embedder: Callable[[], Embedder], connect: Connect | None) -> None:
        self._error: RagError | None = None
        try:
            self._embedder = load_embedder()
            self._writer = connect() if connect is not None else None
        except Exception as error:  # noqa: BLE001  Ray would report it in its own words
            self._error = _user_error(error)
        self._sandbox = Sandbox()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The outcomes or documents of each block's files, or the error to report."""
        return {"items": [pickle.dumps(self._done(pickle.loads(block))) for block in batch["block"]]}

    def _done(self, block: Sequence[File]) -> list[Any] | RagError:
        if self._error is not None:
            return self._error
        try:
            items = [read_and_cut(file, lambda: self._embedder, self._sandbox) for file in block]
            failed = [item for item in items if isinstance(item, Failure)]
            cut = [item for item in items if isinstance(item, EmbeddedDocument)]
            documents = embed_documents(cut, self._embedder, self._writer)
            if self._writer is None:
                return [*failed, *documents]
            self._writer.upsert(documents)
        except Exception as error:  # noqa: BLE001  Ray would take it for a worker that died
            return _user_error(error)
        return [*failed, *map(outcome, documents)]


def _user_error(error: Exception) -> RagError:
    """A worker's error for the user."""
    if isinstance(error, RagError):
        return error
    return SettingsError(
        f"A worker on {socket.gethostname()} failed ({error!r:.300}). Look at Ray's log there, and build "
        "again."
    )


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster; it prints nothing and sends no usage statistics."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError(f"A build on a Ray cluster needs ray. {how_to_install('ray')}") from error
    ours = not ray.is_initialized()  # a calling program may have a session of its own
    if ours:
        _begin(ray, address)
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.max_errored_blocks
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what is missing of them is reported
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        context.enable_progress_bars, context.max_errored_blocks = before
        if ours:
            ray.shutdown()


def _begin(ray: Any, address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal() and "/" not in host):
        raise SettingsError(
            f"{address} is no address of a Ray cluster. Write it HOST:PORT, such as 127.0.0.1:6379."
        )
    try:
        with socket.create_connection((host, int(port)), _REACHED_S):
            pass  # Ray itself would try for minutes
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"No Ray cluster answers at {address}. Start one (ray start --head), or name another: --ray "
            "HOST:PORT"
        ) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, ValueError, RuntimeError) as error:
        ray.shutdown()  # it may be half connected
        line = " ".join(str(error).split())[:300].rstrip(".")
        raise SettingsError(
            f"The Ray cluster at {address} can't be joined ({line}). Build on one of its nodes, with its "
            "releases of Ray and Python."
        ) from error
