"""Builds on a Ray cluster of two nodes on this machine, one of which is killed, then a worker: a program.

It prints what it saw as JSON. Ray listens on all interfaces, so it is run in namespaces of its own.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from rag import wiring
from rag.documents.folder import File, files
from rag.errors import ModelError, RagError
from rag.index.base import IndexWriter
from rag.indexing import ray_cluster
from rag.indexing.build import EmbedFiles, Outcome, build_index
from rag.models.embedder import Embedder
from rag.settings import resolve
from tests.support import wait_until
from tests.support.isolation import open_loopback
from tests.support.milvus_server import started_server

PORT = 6399
ADDRESS = f"127.0.0.1:{PORT}"
KILLING = "This text ends the process that reads it."
_RAY = [str(Path(sys.executable).with_name("ray")), "start", "--disable-usage-stats", "--num-cpus=1"]


def processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()}


def started(*options: str) -> set[int]:
    """The processes of a node that is started."""
    before = processes()
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([*_RAY, *options], check=True, stdout=subprocess.DEVNULL, env=environment)
    return processes() - before


def main(documents: str, index: str, temporary: str, programs: str) -> None:
    open_loopback()
    started(
        "--head", "--node-ip-address=127.0.0.1", f"--port={PORT}", "--include-dashboard=false",
        f"--temp-dir={temporary}",
    )  # fmt: skip
    second = started(f"--address={ADDRESS}")
    # The workers that the second node began for the build are its own too.
    folder = built(documents, index, lambda process: process in second or parent(process) in second)
    said = {"folder": folder} | in_milvus(documents, Path(index).with_name("milvus"), Path(programs))
    said["no cluster"] = message_of(
        lambda: wiring.build(resolve(documents=documents, index=index + "2"), ray="127.0.0.1:1")
    )
    print(json.dumps(said | hostile(Path(index))), flush=True)  # noqa: T201


def kill(which: Callable[[int], bool]) -> int:
    """Kill these processes; how many there were."""
    found = [process for process in processes() if which(process)]
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return len(found)


def nodes_alive() -> int:
    import ray

    return sum(node["Alive"] for node in ray.nodes())


def built(documents: str, place: str, which: Callable[[int], bool]) -> dict[str, Any]:
    """What a build saw, in which these processes are killed once the first documents are done."""
    seen: dict[str, Any] = {"progress": [], "killed": 0}

    def progress(done: int, total: int) -> None:
        seen["progress"].append((done, total))
        if done and not seen["killed"]:
            seen["nodes_before"] = nodes_alive()
            seen["killed"], seen["killed_at"] = kill(which), done
        elif done == total:
            wait_until(lambda: nodes_alive() == 1, "Ray knows that the second node is gone")
            seen["nodes_after"] = nodes_alive()

    settings = resolve(documents=documents, index=place, retrieval="dense")
    seen["report"] = asdict(wiring.build(settings, ray=ADDRESS, progress=progress))
    seen["again"] = asdict(wiring.build(settings, ray=ADDRESS, progress=lambda *_: None))
    return seen


def in_milvus(documents: str, data: Path, programs: Path) -> dict[str, Any]:
    """What a build saw whose workers write into a Milvus server, and one after the server has gone."""
    server = started_server(data, programs, {})
    place = f"milvus://127.0.0.1:{server.listen_port}/articles"
    seen = built(documents, place, lambda process: "ray::MapWorker" in command(process))
    with wiring.open_index(resolve(index=place, retrieval="dense")).open() as state:
        numbers = [number for source in state.documents() if (number := state.document(source)) is not None]
        seen["count"] = state.chunk_count()
        seen["chunks"] = [
            (one.source, one.start, one.end, one.text)
            for number in numbers
            for one in state.chunks_between(number, 0, 1_000_000)
        ]
    settings = resolve(documents=documents, index=place, retrieval="dense")
    faults = wiring.examine(settings).faults
    server.stop()
    gone = message_of(lambda: wiring.build(settings, ray=ADDRESS))
    return {"milvus": seen, "faults": faults, "no server": gone}


def hostile(index: Path) -> dict[str, Any]:
    """What builds say whose workers end, fail, or have another embedder or none."""
    documents = index.with_name("hostile")
    documents.mkdir()
    for name, text in (("good.txt", "War and peace."), ("killing.txt", KILLING), ("other.txt", "Bread.")):
        (documents / name).write_text(text)
    settings = resolve(documents=documents, index=f"{index}3")
    report = build_index(
        documents,
        functools.partial(wiring.backend(settings).write, wiring.identity_of(settings), rebuild=False),
        ray_cluster.on_ray(ADDRESS, lambda: cast(Embedder, Killed(wiring.embedder(settings)))),
        progress=lambda *_: None,
    )
    said: dict[str, Any] = {"hostile": asdict(report)}
    elsewhere = replace(wiring.identity_of(settings), weights_sha256="0" * 64)
    loads: dict[str, Callable[[], Any]] = {
        "no embedder": no_embedder,
        "defect": Defective,
        "other embedder": functools.partial(wiring.embedder_of, elsewhere, settings),
    }
    listed = [file for file in files(documents) if isinstance(file, File)]
    writer = cast(IndexWriter, Unwritten())
    for name, load in loads.items():
        embed = ray_cluster.on_ray(ADDRESS, load)
        said[name] = message_of(functools.partial(embedded, embed, listed, writer))
    return said


def embedded(embed: EmbedFiles, listed: Sequence[File], writer: IndexWriter) -> list[Outcome]:
    return [*embed(listed, writer, lambda _: None)]


def message_of(work: Callable[[], object]) -> str | None:
    """The error that a user reads; None if there was none."""
    try:
        work()
    except RagError as error:
        return str(error)
    return None


class Killed:
    """The embedder, which one text ends the process of."""

    def __init__(self, embedder):
        self.embedder = embedder
        self.max_tokens = embedder.max_tokens

    def count_tokens(self, texts):
        if any(KILLING in text for text in texts):
            os._exit(1)
        return self.embedder.count_tokens(texts)

    def embed_with_spans(self, texts, spans):
        return self.embedder.embed_with_spans(texts, spans)


class Defective:
    """An embedder that fails in a way that nobody thought of."""

    max_tokens = 100

    def count_tokens(self, texts):
        raise ZeroDivisionError("of a defect")


def no_embedder():
    raise ModelError("The embedder is not on this node. Install it.")


class Unwritten:
    def connect(self) -> None:
        """One process alone writes."""

    def upsert(self, documents) -> None:
        assert documents == []


def read(process: int, what: str) -> str:
    try:
        return Path(f"/proc/{process}/{what}").read_text()
    except OSError:
        return ""


def command(process: int) -> str:
    return read(process, "cmdline")


def parent(process: int) -> int:
    found = read(process, "status").partition("PPid:")[2].split()
    return int(found[0]) if found else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
