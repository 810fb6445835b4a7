"""A build that is killed, or can't write, at any call that changes a file: the index opens, and answers."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler (cc)"
)


@pytest.fixture(scope="module", params=[[], ["10"], ["0"]], ids=["few", "many", "many, made anew"])
def faults(tmp_path_factory, request) -> list[dict]:
    place = tmp_path_factory.mktemp("faults")
    library = place / "faults.so"
    source = ROOT / "tests" / "support" / "faults.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.faults", place, *request.param],
        cwd=ROOT,
        # A process that was forked can't use the threads that the first one made.
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_write_error_at_any_call_is_told_of_and_leaves_the_old_state_or_the_new(faults):
    errors = [fault for fault in faults if not fault["kill"]]
    assert len(errors) > 100
    assert {fault["ended"] for fault in errors} == {"error", "done", "past the end"}
    assert [fault for fault in errors if fault["then"] not in ("old", "new")] == []
    assert [fault for fault in errors if fault["ended"] == "done" and fault["then"] == "old"] == []


def test_a_build_killed_at_any_call_leaves_the_old_state_or_the_new(faults):
    kills = [fault for fault in faults if fault["kill"]]
    assert len(kills) >= 50
    assert {fault["ended"] for fault in kills} == {"killed"}
    assert {fault["then"] for fault in kills} == {"old", "new"}


def test_the_next_build_completes_and_leaves_nothing_over(faults):
    assert [fault for fault in faults if fault["now"] != "new"] == []
    assert {tuple(fault["left"]) for fault in faults} == {("current", "store", "vectors", "writer.lock")}
