"""A build that is killed, or can't write, at any call that changes a file: the index opens, and answers."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.support import ROOT

COMPILER = shutil.which("cc") or ""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COMPILER or sys.platform != "linux", reason="needs Linux and a C compiler (cc)"),
]


@dataclass(frozen=True)
class Suite:
    """An index, and how many of its chunks may differ from its FAISS file before a build renews that.

    The build that the faults meet adds, changes and removes four chunks.
    """

    name: str
    arguments: tuple[str, ...]
    lists: bool
    new_file: bool


SUITES = (
    Suite("few chunks", (), lists=False, new_file=True),
    Suite("many chunks, the FAISS file stays", ("10",), lists=True, new_file=False),
    Suite("many chunks, a new FAISS file", ("0",), lists=True, new_file=True),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The processes that inject the faults, all at once: each has a folder of its own."""
    place = tmp_path_factory.mktemp("faults")
    library = place / "faults.so"
    source = ROOT / "tests" / "support" / "faults.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    started = {}
    for suite in SUITES:
        folder = place / suite.name
        folder.mkdir()
        with (folder / "lines").open("wb") as lines, (folder / "errors").open("wb") as errors:
            started[suite] = (
                folder,
                subprocess.Popen(
                    [sys.executable, "-m", "tests.support.faults", folder, *suite.arguments],
                    cwd=ROOT,
                    # A process that was forked can't use the threads that the first one made.
                    env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
                    stdout=lines,
                    stderr=errors,
                ),
            )
    yield started
    for _, process in started.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=SUITES, ids=lambda suite: suite.name)
def suite(request) -> Suite:
    return request.param


@pytest.fixture(scope="module")
def lines(running, suite) -> list[dict]:
    folder, process = running[suite]
    assert process.wait() == 0, (folder / "errors").read_text()
    return [json.loads(line) for line in (folder / "lines").read_text().splitlines()]


@pytest.fixture(scope="module")
def faults(lines) -> list[dict]:
    return lines[1:]


def test_the_suites_differ_in_their_faiss_file(lines, suite):
    assert lines[0] == {"lists": suite.lists, "new_file": suite.new_file}


def test_a_write_error_at_any_call_is_reported_and_leaves_the_old_state_or_the_new(faults):
    errors = [fault for fault in faults if not fault["kill"]]
    assert len(errors) > 300
    assert {fault["ended"] for fault in errors} == {"error", "done", "past the end"}
    assert [fault for fault in errors if fault["then"] not in ("old", "new")] == []
    assert [fault for fault in errors if fault["ended"] == "done" and fault["then"] == "old"] == []


def test_a_build_killed_at_any_call_leaves_the_old_state_or_the_new(faults):
    kills = [fault for fault in faults if fault["kill"]]
    assert len(kills) >= 100
    assert {fault["ended"] for fault in kills} == {"killed"}
    assert {fault["then"] for fault in kills} == {"old", "new"}


def test_the_next_build_completes_and_leaves_nothing_over(faults):
    assert [fault for fault in faults if fault["now"] != "new"] == []
    assert {tuple(fault["left"]) for fault in faults} == {("current", "store", "vectors", "writer.lock")}


def test_all_suites_together_inject_more_than_1_250_faults(running):
    """The number in tests/benchmarks/README.md: each is a call that failed, or that killed the build."""
    counted = 0
    for folder, process in running.values():
        assert process.wait() == 0
        found = [json.loads(line) for line in (folder / "lines").read_text().splitlines()[1:]]
        counted += sum(fault["ended"] != "past the end" for fault in found)
    sys.stdout.write(f"{counted} faults\n")
    assert counted > 1_250
