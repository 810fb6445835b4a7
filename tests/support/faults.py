"""Builds with a fault at each call that changes a file, for `tests/index/disk/test_crashes.py`.

Runs with tests/support/faults.c loaded. Each build is a process of its own over a copy of the same index;
what is then found is printed, a line of JSON for each fault. The first line says which index it is: whether
FAISS searches lists of vectors, and whether the build writes a new FAISS file or keeps the old one.
"""

import ctypes
import json
import os
import random
import shutil
import sys
from pathlib import Path

from rag.errors import RagError
from rag.index.disk import faiss_index
from rag.index.disk import index as disk_index
from rag.index.disk.index import DiskIndex
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from tests.support.fakes import WordEmbedder
from tests.support.folders import IDENTITY, Folders

QUESTIONS = ("war", "peace", "salt")
KILLS = 50
MANY = 20


def found(folders: Folders) -> list[list[tuple[str, float]]]:
    """What is found; equal scores come in the order in which documents came, which a rebuild changes."""
    retriever = Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())
    asked = (retriever.retrieve(analyse(question), 5).passages for question in QUESTIONS)
    return [sorted((one.source, round(one.score, 6)) for one in passages) for passages in asked]


def faulty(folders: Folders, calls: int, *, kill: bool, for_good: bool, rebuild: bool) -> str:
    """How a build ends in which that call fails, or kills it: `killed`, `error`, `done` or a defect."""
    child = os.fork()
    if child == 0:
        faults = ctypes.CDLL(os.environ["LD_PRELOAD"])
        try:
            faults.arm(ctypes.c_long(calls), kill, for_good)
            folders.build(rebuild=rebuild)
            left = faults.unarm()
            os._exit(0 if left < 0 else 3)
        except RagError:
            faults.unarm()
            os._exit(2)
        except Exception:  # noqa: BLE001  anything else is a defect
            faults.unarm()
            sys.excepthook(*sys.exc_info())
            os._exit(4)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return {0: "done", 2: "error", 3: "past the end"}.get(os.WEXITSTATUS(status), "a defect")


def report(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(place: Path, changes: int | None) -> None:
    """The faults of an index of few chunks, or of many, of which `changes` may differ from the FAISS file."""
    folders = Folders(place / "work")
    folders.documents.parent.mkdir()
    if changes is not None:
        faiss_index.EXACT = MANY // 2
        faiss_index.PROBED = 1_000
        disk_index.CHANGES = changes
        folders.write({f"{number}.txt": f"River {number} and the war." for number in range(MANY)})
    folders.write(
        {"a.txt": "War and war and bread.", "b.txt": "Peace by the river.", "c.txt": "Salt, bread."}
    )
    folders.build()
    shutil.copytree(folders.index, place / "before")
    before, file_before = found(folders), folders.vectors_file()
    folders.write({"a.txt": "Bread, war and salt.", "d.txt": "Peace, peace and war."})
    (folders.documents / "b.txt").unlink()
    folders.build()
    after, file_after = found(folders), folders.vectors_file()
    saved = faiss_index.VectorIndex.load(file_after)
    assert saved is not None
    report({"lists": saved._lists > 0, "new_file": file_after != file_before})

    def run(calls: int, *, kill: bool, for_good: bool, rebuild: bool) -> str:
        shutil.rmtree(folders.index)
        shutil.copytree(place / "before", folders.index)
        ended = faulty(folders, calls, kill=kill, for_good=for_good, rebuild=rebuild)
        then = found(folders)
        folders.build()
        now = found(folders)
        report(
            {
                "calls": calls,
                "kill": kill,
                "for_good": for_good,
                "rebuild": rebuild,
                "ended": ended,
                "then": "old" if then == before else "new" if then == after else then,
                "now": "new" if now == after else now,
                "left": sorted(path.name.partition("-")[0] for path in folders.index.iterdir()),
            }
        )
        return ended

    chooser = random.Random(0)
    for rebuild in (False, True):
        for for_good in (False, True):
            calls = 0
            while run(calls, kill=False, for_good=for_good, rebuild=rebuild) != "past the end":
                calls += 3 if rebuild else 1
        moments = {*chooser.sample(range(calls), min(KILLS, calls))}
        if not rebuild:  # and at its last call, the number of which is known: after it the state is new
            moments.add(calls - 1)
        for moment in sorted(moments):
            run(moment, kill=True, for_good=False, rebuild=rebuild)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
