"""Files embedded by the workers of a Ray cluster: the only module that imports ray.

Each worker has the embedder once and takes block after block. Into an index in Milvus it writes itself; of an
index in a folder the process that began the build is the one writer, so that blocks come back to it.
"""

import contextlib
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rag.blocks import BLOCK, Outcome, Run, embed_block, outcome
from rag.documents import File
from rag.encoders import Embedder
from rag.errors import RagError, SettingsError
from rag.extraction import Extraction
from rag.index import BlockWriter, EmbeddedDocument

_REACHED_S = 5.0

Connect = Callable[[], BlockWriter]
"""Makes a writer of a worker's own."""


def on_ray(address: str, load_embedder: Callable[[], Embedder]) -> Run:
    """What has the workers of the cluster at this address do it, as many at once as it has processors.

    They need this package, and the documents and the embedder under the same paths. Ray gives the block of a
    worker that dies to another one. `SettingsError` when no cluster answers.
    """

    def run(todo: Sequence[File], writer: BlockWriter) -> Iterator[Outcome]:
        if not todo:
            return
        with _connected(address) as ray:
            blocks = [{"block": pickle.dumps(todo[at : at + BLOCK])} for at in range(0, len(todo), BLOCK)]
            done = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
                _EmbeddingWorker,
                fn_constructor_args=(load_embedder, writer.connect()),
                batch_size=1,
                num_cpus=1,
                concurrency=(1, max(int(ray.cluster_resources().get("CPU", 1)), 1)),
            )
            try:
                for row in done.iter_rows():
                    items = pickle.loads(row["items"])
                    writer.upsert([item for item in items if isinstance(item, EmbeddedDocument)])
                    yield from map(outcome, items)
            except Exception as error:  # noqa: BLE001  Ray wraps what a worker raised, whatever it is
                raise _told(error) or error from None

    return run


class _EmbeddingWorker:
    """Reads, cuts and embeds blocks of files in a process of Ray's, which serves this alone."""

    def __init__(self, load_embedder: Callable[[], Embedder], connect: Connect | None) -> None:
        self._embedder = load_embedder()
        self._writer = connect() if connect is not None else None
        self._extraction = Extraction()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """For each block what came of its files."""
        return {"items": [pickle.dumps(self._done(pickle.loads(block))) for block in batch["block"]]}

    def _done(self, block: Sequence[File]) -> list[Any]:
        if self._writer is None:
            return [*embed_block(block, self._embedder, self._extraction, {})]
        known = self._writer.known([file.source for file in block])
        items = [*embed_block(block, self._embedder, self._extraction, known)]
        self._writer.upsert([item for item in items if isinstance(item, EmbeddedDocument)])
        return [*map(outcome, items)]


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster; nothing is printed and nobody is told of its use."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError(
            'A build on a Ray cluster needs ray. Install the extra ray: pip install "rag[ray]"'
        ) from error
    try:
        # Ray itself would try for minutes.
        host, _, port = address.rpartition(":")
        with contextlib.suppress(ValueError), socket.create_connection((host, int(port)), _REACHED_S):
            pass
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"No Ray cluster answers at {address}. Start one (ray start --head), or name another: --ray "
            "HOST:PORT"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


def _told(error: BaseException | None) -> RagError | None:
    """What a worker told of, out of what Ray made of it."""
    for _ in range(10):
        if error is None or isinstance(error, RagError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
