"""Thirty clients at once for two minutes, who often change their mind: `pytest -m load`."""

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

from tests.support import ROOT, SEEDS
from tests.support.page_server import served

pytestmark = pytest.mark.load

CLIENTS = 30
SECONDS = 120
SETTLED = 40
"""Seconds after which every part has been used, so that memory grows no more."""

QUESTIONS = json.loads((ROOT / "tests" / "questions.json").read_text("utf-8"))["answerable"]


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def ask_until(deadline: float, url: str, number: int, right: list[str], wrong: list[Any]) -> int:
    """Ask again and again, and cancel every third; how many were cancelled."""
    chance = random.Random(number)
    cancelled = 0
    while time.monotonic() < deadline:
        # One client for each question: it gives a job that is sent while the stream of the one before ends
        # to that stream, and then takes it for cancelled itself.
        client = gradio_client.Client(url, verbose=False)
        asked = chance.choice(QUESTIONS)
        job = client.submit(asked["question"], api_name="/answer")
        if chance.random() < 1 / 3:
            time.sleep(chance.random() * 3)
            job.cancel()
            cancelled += 1
            continue
        answer = job.result(timeout=300)
        quoted = " ".join(citation["quote"] for citation in answer["citations"])
        if answer["question"] == asked["question"] and any(text in quoted for text in asked["any_of"]):
            right.append(asked["question"])
        else:
            wrong.append((asked["question"], answer["text"]))
    return cancelled


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
    memory: list[tuple[float, float]] = []
    with served(tmp_path) as (url, process):
        gradio_client.Client(url, verbose=False).predict(QUESTIONS[0]["question"], api_name="/answer")
        began = time.monotonic()
        clients = [
            threading.Thread(
                target=guarded(
                    lambda number=number: ask_until(began + SECONDS, url, number, right, wrong), failed
                )
            )
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            memory.append((time.monotonic() - began, resident_mib(process)))
            time.sleep(1)
        for client in clients:
            client.join()
        after = gradio_client.Client(url, verbose=False).predict(QUESTIONS[0]["question"], api_name="/answer")

    assert (failed, wrong) == ([], [])
    assert len(right) > CLIENTS
    assert "Peskov" in after["text"]
    settled = statistics.median(used for when, used in memory if SETTLED < when < SETTLED + 20)
    at_end = statistics.median(used for when, used in memory if when > SECONDS - 20)
    sys.stdout.write(f"{len(right)} right answers, resident {settled:.0f} MiB, at the end {at_end:.0f} MiB\n")
    # The allocator keeps some memory for each of the threads that come and go.
    assert at_end < 1.1 * settled
