"""Gradio's own client, calling the functions of the page; and what the page's server serves beside it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from rag.answering.engine import Engine
from rag.settings import Settings
from tests.support import PATIENCE_S, ROOT

gradio_client = pytest.importorskip("gradio_client")

pytestmark = pytest.mark.server

QUESTION = "Who is the Kremlin spokesman?"


@contextlib.contextmanager
def opened(*folders: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of the page, and its process; whatever that has to say of errors, it mustn't."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.page_process", *folders],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process.stdout.readline().strip(), process
        _, errors = process.communicate()
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def url(seed_settings: Settings):
    with opened(str(seed_settings.documents), str(seed_settings.index)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def client(url: str):
    return gradio_client.Client(url, verbose=False)


def test_answer_gives_the_answer_of_python(client: Any, seed_engine: Engine, seed_settings: Settings):
    given = client.predict(QUESTION, api_name="/answer")
    answer = seed_engine.answer(QUESTION)

    assert (given["question"], given["text"], given["abstained"]) == (QUESTION, answer.text, None)
    assert [citation["quote"] for citation in given["citations"]] == [one.quote for one in answer.citations]
    for citation in given["citations"]:
        text = (seed_settings.documents / citation["source"]).read_bytes().decode()
        assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_answer_goes_on_from_a_history_and_within_dates(client: Any):
    history = [[QUESTION, "Dmitry Peskov"]]
    given = client.predict("What did he say?", history=history, api_name="/answer")
    assert given["taken_as"] == "What did Dmitry Peskov say?"
    given = client.predict(QUESTION, since="2016", api_name="/answer")
    assert given["abstained"] == "no document has a date in that range"


def test_search_gives_the_passages(client: Any, seed_engine: Engine):
    given = client.predict("chlorine in Aleppo", k=2, api_name="/search")

    found = seed_engine.search("chlorine in Aleppo", k=2)
    assert [(one["source"], one["start"], one["end"]) for one in given] == [
        (one.source, one.start, one.end) for one in found
    ]


def test_build_says_what_changed(client: Any):
    given = client.predict(api_name="/build")

    assert (len(given["unchanged"]), given["added"], given["failed"]) == (5, [], [])


@pytest.mark.parametrize(
    ("endpoint", "sent", "message"),
    [
        ("/answer", {"question": " "}, "The question is empty. Type one."),
        ("/answer", {"question": "x", "until": "May"}, "until is May; give a date such as 2016, 2016-05 or "),
        ("/search", {"query": "x", "k": 0}, "k is 0; ask for 1 passage or more."),
    ],
)
def test_what_is_wrong_is_one_sentence(client: Any, endpoint, sent, message):
    with pytest.raises(gradio_client.exceptions.AppError) as raised:
        client.predict(**sent, api_name=endpoint)

    assert str(raised.value).startswith(message)


def test_the_endpoints_are_described(client: Any):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]

    answer = described["/answer"]
    assert [one["parameter_name"] for one in answer["parameters"]] == [
        "question",
        "history",
        "since",
        "until",
        "sources",
    ]
    assert answer["returns"][0]["type"] == {"type": "object", "additionalProperties": {}}
    assert answer["description"].startswith("Answer a question from the documents")


def test_a_cancelled_call_frees_the_model():
    with opened() as (address, process):
        job = gradio_client.Client(address, verbose=False).submit(QUESTION, api_name="/answer")
        assert next(job) is None  # nothing yet, as often as it is looked whether it is still wanted
        job.cancel()
        assert process.stdout.readline() == "free\n"


def test_a_call_whose_client_is_gone_frees_the_model():
    with opened() as (address, process):
        call = f"{address}gradio_api/call/answer"
        asked = {"data": [QUESTION, None, None, None, None]}
        event = httpx.post(call, json=asked, timeout=PATIENCE_S).json()["event_id"]
        with httpx.stream("GET", f"{call}/{event}", timeout=PATIENCE_S) as stream:
            assert next(stream.iter_lines()) == "event: generating"
        assert process.stdout.readline() == "free\n"


def test_chat_programs_and_agents_are_answered_beside_the_page(url: str, seed_engine: Engine):
    with openai.OpenAI(base_url=f"{url}v1", api_key="none") as asking:
        response = asking.chat.completions.create(
            model="rag", messages=[{"role": "user", "content": QUESTION}]
        )
    assert response.model_extra["answer"]["text"] == seed_engine.answer(QUESTION).text
    assert "Ask the documents" in httpx.get(url, timeout=PATIENCE_S).text
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    reply = httpx.post(
        f"{url}mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        headers={"Accept": "application/json, text/event-stream"},
        timeout=PATIENCE_S,
    )
    assert '"name":"rag"' in reply.text


def test_the_guard_is_before_the_page_too(url: str):
    assert httpx.get(url, headers={"Host": "evil.example"}, timeout=PATIENCE_S).status_code == 421
    headers = {"Origin": "https://evil.example"}
    reply = httpx.post(f"{url}gradio_api/queue/join", headers=headers, json={}, timeout=PATIENCE_S)
    assert reply.status_code == 403
