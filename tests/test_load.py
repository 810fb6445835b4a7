"""Thirty clients at once, who often change their mind: `pytest -m load`, for about two minutes."""

import functools
import json
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio_client
import pytest

from tests.support import PATIENCE_S, ROOT, SEEDS
from tests.support.page_server import served

pytestmark = pytest.mark.load

CLIENTS = 30
ASKED = 24
"""How often each of them asks: the work is the same on every machine, however long that takes."""

SETTLED = 1 / 3
"""The share of the questions after which every part has been used, so that memory grows no more."""

QUESTIONS = json.loads((ROOT / "tests" / "questions.json").read_text("utf-8"))["answerable"]


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def ask_often(url: str, number: int, done: list[int], right: list[str], wrong: list[Any]) -> None:
    """Ask again and again, and cancel every third."""
    chance = random.Random(number)
    for _ in range(ASKED):
        done.append(number)
        # One client for each question: it gives a job that is sent while the stream of the one before ends
        # to that stream, and then takes it for cancelled itself.
        client = gradio_client.Client(url, verbose=False)
        asked = chance.choice(QUESTIONS)
        job = client.submit(asked["question"], api_name="/answer")
        if chance.random() < 1 / 3:
            time.sleep(chance.random() * 3)
            job.cancel()
            continue
        answer = job.result(timeout=PATIENCE_S)
        quoted = " ".join(citation["quote"] for citation in answer["citations"])
        if answer["question"] == asked["question"] and any(text in quoted for text in asked["any_of"]):
            right.append(asked["question"])
        else:
            wrong.append((asked["question"], answer["text"]))


def guarded(work: Callable[[], Any], failed: list[str]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  whatever it is, the test fails of it
            failed.append(repr(error))

    return run


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads memory from /proc")
def test_thirty_clients_that_cancel_get_their_answers_in_flat_memory(tmp_path: Path):
    shutil.copytree(SEEDS, tmp_path / "docs")
    right: list[str] = []
    wrong: list[Any] = []
    failed: list[str] = []
    done: list[int] = []
    memory: list[tuple[float, float]] = []
    with served(tmp_path) as (url, process):
        gradio_client.Client(url, verbose=False).predict(QUESTIONS[0]["question"], api_name="/answer")
        clients = [
            threading.Thread(
                target=guarded(functools.partial(ask_often, url, number, done, right, wrong), failed)
            )
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            memory.append((len(done) / (CLIENTS * ASKED), resident_mib(process)))
            time.sleep(0.5)
        for client in clients:
            client.join()
        after = gradio_client.Client(url, verbose=False).predict(QUESTIONS[0]["question"], api_name="/answer")

    assert (failed, wrong) == ([], [])
    assert len(right) > CLIENTS
    assert "Peskov" in after["text"]
    settled = statistics.median(used for share, used in memory if SETTLED < share < SETTLED + 1 / 6)
    at_end = statistics.median(used for share, used in memory if share > 5 / 6)
    sys.stdout.write(f"{len(right)} right answers, resident {settled:.0f} MiB, at the end {at_end:.0f} MiB\n")
    # The allocator keeps some memory for each of the threads that come and go.
    assert at_end < 1.1 * settled
