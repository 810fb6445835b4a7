"""A build on two Ray nodes, one of which is killed midway, gives what a build on one machine gives."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from rag import wiring
from rag.index.disk import store
from rag.settings import resolve
from tests.support import ROOT, SEEDS
from tests.support.isolation import ISOLATED, require_isolation

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.model]

DOCUMENTS = 400
LIMIT_S = 2_400
"""Ten times what all builds on the cluster took on two idle cores of a slow machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Documents of different lengths; one that can't be read, one that is there twice."""
    documents = tmp_path_factory.mktemp("ray") / "docs"
    (documents / "deep").mkdir(parents=True)
    text = "".join(path.read_text("utf-8") for path in sorted(SEEDS.iterdir()))
    for number in range(DOCUMENTS):
        start = number * 37 % (len(text) - 3_000)
        (documents / f"deep/{number:03}.txt").write_text(
            text[start : start + 500 + number * 7 % 2_000], "utf-8"
        )
    (documents / "same.txt").write_bytes((documents / "deep/000.txt").read_bytes())
    (documents / "bad.pdf").write_bytes(b"%PDF-1.4 nothing")
    return documents


def chunks(index) -> dict[tuple[str, int, int], tuple[str, np.ndarray]]:
    with store.reading(index) as snapshot:
        vectors = {
            int(i): vector for ids, some in snapshot.vectors() for i, vector in zip(ids, some, strict=True)
        }
        return {
            (one.source, one.start, one.end): (one.text, vectors[one.id])
            for one in snapshot.chunks([*vectors])
        }


@pytest.fixture(scope="module")
def seen(folder, tmp_path_factory):
    """What builds on two nodes saw (see `tests.support.ray_build`)."""
    for package in ("ray", "pymilvus", "milvus"):
        pytest.importorskip(package)
    require_isolation()
    place = tmp_path_factory.mktemp("r")
    program = [sys.executable, "-m", "tests.support.ray_build"]
    ran = subprocess.run(
        [*ISOLATED, *program, folder, place / "index", place / "ray", place / "programs"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=LIMIT_S,
    )
    return json.loads(ran.stdout.splitlines()[-1]) | {"index": place / "index"}


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    """The chunks of a build on this machine, and its report."""
    index = tmp_path_factory.mktemp("local") / "index"
    report = wiring.build(resolve(documents=folder, index=index), progress=lambda *_: None)
    return chunks(index), report


@pytest.fixture(scope="module")
def total(folder) -> int:
    """The bytes of all files, which progress counts."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_node_was_killed_midway(seen, total):
    saw = seen["folder"]
    assert saw["nodes_before"] == 2
    assert saw["killed"] > 1
    assert 0 < saw["killed_at"] < total / 2
    assert saw["nodes_after"] == 1
    assert saw["progress"][0] == [0, total]
    assert saw["progress"][-1] == [total, total]


def test_it_has_exactly_the_chunks_of_a_local_build(seen, local):
    expected, report = local
    found = chunks(seen["index"])
    assert len(expected) > DOCUMENTS
    assert found.keys() == expected.keys()
    assert all(found[place][0] == text for place, (text, _) in expected.items())
    assert min(float(found[place][1] @ vector) for place, (_, vector) in expected.items()) > 0.99
    assert seen["folder"]["report"]["added"] == [*report.added]
    assert [failure["source"] for failure in seen["folder"]["report"]["failed"]] == ["bad.pdf"]
    assert len(report.added) == DOCUMENTS + 1


def test_workers_that_write_into_milvus_and_die_leave_each_chunk_once(seen, local, total):
    saw = seen["milvus"]
    assert saw["killed"] > 0
    assert 0 < saw["killed_at"] < total / 2
    found = [(source, start, end, text) for source, start, end, text in saw["chunks"]]
    assert sorted(found) == sorted((*place, text) for place, (text, _) in local[0].items())
    assert saw["count"] == len(found)
    assert saw["report"]["added"] == [*local[1].added]
    assert seen["faults"] == ["bad.pdf: it is not a PDF that can be read: it is damaged or has no page."]


def test_an_unchanged_build_does_nothing(seen):
    for place in ("folder", "milvus"):
        again = seen[place]["again"]
        assert len(again["unchanged"]) == DOCUMENTS + 1
        assert again["added"] == again["changed"] == again["removed"] == []


def test_a_file_that_ends_its_worker_takes_no_other_along(seen):
    report = seen["hostile"]
    assert report["added"] == ["good.txt", "other.txt"]
    assert report["failed"] == [{"source": "killing.txt", "reason": "ended the worker that read it, 3 times"}]


def test_what_a_worker_lacks_is_one_sentence(seen):
    assert seen["no embedder"] == "The embedder is not on this node. Install it."


def test_a_worker_with_other_weights_is_told_of(seen):
    found = re.fullmatch(
        r"\S+ has all-MiniLM-L6-v2 \(sha256 53aa51172d14…, 384 dimensions, int8, .*\), but the machine that "
        r"began the build has all-MiniLM-L6-v2 \(sha256 000000000000…, .*\)\. Install the same release of "
        r"rag there, and the same weights\.",
        seen["other embedder"],
    )
    assert found is not None, seen["other embedder"]


def test_a_defect_in_a_worker_ends_the_build_and_is_told_of(seen):
    said = re.escape("failed (ZeroDivisionError('of a defect')). Look at Ray's log there, and build again.")
    assert re.fullmatch(rf"A worker on \S+ {said}", seen["defect"])


def test_a_cluster_or_a_server_that_is_not_there_is_told_of(seen):
    assert seen["no cluster"] == (
        "No Ray cluster answers at 127.0.0.1:1. Start one (ray start --head), or name another: --ray "
        "HOST:PORT"
    )
    assert "can't be reached. Check that it runs" in seen["no server"]
