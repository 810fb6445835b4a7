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
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from rag import wiring
from rag.documents.folder import files
from rag.errors import ModelError, RagError
from rag.indexing import ray_cluster
from rag.indexing.build import build_index
from rag.settings import resolve
from tests.support.isolation import open_loopback
from tests.support.milvus_server import started_server

PORT = 6399
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
    second = started(f"--address=127.0.0.1:{PORT}")
    address = f"127.0.0.1:{PORT}"

    def kill(which: Callable[[int], bool]) -> int:
        """Kill these processes; how many there were."""
        found = [process for process in processes() if which(process)]
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(found)

    def nodes_left() -> int:
        """The nodes alive, once Ray has seen that one is gone."""
        import ray

        for _ in range(300):
            alive = sum(node["Alive"] for node in ray.nodes())
            if alive == 1:
                break
            time.sleep(0.1)
        return alive

    def built(place: str, which: Callable[[int], bool]) -> dict[str, object]:
        """What a build saw, in which these processes are killed once the first documents are done."""
        seen: dict[str, object] = {"progress": [], "killed": 0}

        def progress(done: int, total: int) -> None:
            import ray

            seen["progress"].append((done, total))
            if done and not seen["killed"]:
                seen["nodes_before"] = sum(node["Alive"] for node in ray.nodes())
                seen["killed"], seen["killed_at"] = kill(which), done
            elif done == total:
                seen["nodes_after"] = nodes_left()

        settings = resolve(documents=documents, index=place, retrieval="dense")
        seen["report"] = asdict(wiring.build(settings, ray=address, progress=progress))
        seen["again"] = asdict(wiring.build(settings, ray=address, progress=lambda *_: None))
        return seen

    # The workers that the second node began for the build are its own too.
    folder = built(index, lambda process: process in second or parent(process) in second)
    server = started_server(Path(index).with_name("milvus"), Path(programs), {})
    place = f"milvus://127.0.0.1:{server.listen_port}/articles"
    milvus = built(place, lambda process: "ray::MapWorker" in command(process))
    with wiring.open_index(resolve(index=place, retrieval="dense")).open() as state:
        chunks = [
            (one.source, one.start, one.end, one.text)
            for source in state.documents()
            for one in state.chunks_between(state.document(source), 0, 1_000_000)
        ]
        milvus |= {"chunks": chunks, "count": state.chunk_count()}
    diagnosis = wiring.examine(resolve(documents=documents, index=place))
    hostile = Path(index).with_name("hostile")
    hostile.mkdir()
    for name, text in (("good.txt", "War and peace."), ("killing.txt", KILLING), ("other.txt", "Bread.")):
        (hostile / name).write_text(text)
    settings = resolve(documents=hostile, index=index + "3")
    report = build_index(
        hostile,
        functools.partial(wiring.backend(settings).write, wiring.identity_of(settings), rebuild=False),
        ray_cluster.on_ray(address, lambda: Killed(wiring.embedder(settings))),
        progress=lambda *_: None,
    )
    said = {"hostile": asdict(report), "faults": diagnosis.faults, "folder": folder, "milvus": milvus}
    server.stop()
    for name, other, ray in (("no cluster", index + "2", "127.0.0.1:1"), ("no server", place, address)):
        try:
            wiring.build(resolve(documents=documents, index=other, retrieval="dense"), ray=ray)
        except RagError as error:
            said[name] = str(error)
    elsewhere = replace(wiring.identity_of(settings), weights_sha256="0" * 64)
    other = functools.partial(wiring.embedder_of, elsewhere, settings)
    for name, load in (("no embedder", no_embedder), ("defect", Defective), ("other embedder", other)):
        try:
            [*ray_cluster.on_ray(address, load)([*files(hostile)], Unwritten(), lambda _: None)]
        except RagError as error:
            said[name] = str(error)
    print(json.dumps(said), flush=True)  # noqa: T201


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
