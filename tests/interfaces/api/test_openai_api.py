"""OpenAI's own client, asking the seed articles."""

import asyncio
import json
import threading

import httpx
import openai
import pytest

from rag.answering.engine import Engine
from rag.errors import ModelError
from rag.settings import Settings
from tests.support import PATIENCE_S
from tests.support.api_server import TalkingEngine, served

QUESTION = "Who is the Kremlin spokesman?"


@pytest.fixture(scope="module")
def url(seed_engine: Engine):
    with served(seed_engine) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, *said: str, **more):
    messages = [
        {"role": role, "content": text} for role, text in zip(["user", "assistant"] * 9, said, strict=False)
    ]
    return client.chat.completions.create(model="rag", messages=messages, **more)


def test_there_is_one_model(client: openai.OpenAI):
    assert [model.id for model in client.models.list()] == ["rag"]


def test_an_answer_carries_its_exact_citations_and_says_where_they_stand(
    client: openai.OpenAI, seed_engine: Engine, seed_settings: Settings
):
    response = ask(client, QUESTION, temperature=0.7, max_tokens=3, user="somebody")
    answer = seed_engine.answer(QUESTION)

    (choice,) = response.choices
    assert (response.object, response.model, choice.finish_reason) == ("chat.completion", "rag", "stop")
    assert response.answer["text"] == answer.text
    assert choice.message.citations == response.answer["citations"]
    lines = []
    for citation in choice.message.citations:
        text = (seed_settings.documents / citation["source"]).read_bytes().decode()
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        passage = answer.passages[citation["label"] - 1]
        place = f"{citation['source']}, {passage.date}" if passage.date else citation["source"]
        lines.append(f"[{citation['label']}] {place}, characters {citation['start']}-{citation['end']}")
    assert lines
    assert choice.message.content == "\n".join([f"{answer.text}\n\nSources:", *lines])
    assert response.usage.prompt_tokens == 5
    assert response.usage.completion_tokens == len(choice.message.content.split())
    assert response.usage.total_tokens == 5 + response.usage.completion_tokens


def test_an_abstention_says_why_and_what_is_nearest(client: openai.OpenAI):
    message = ask(client, "What is the capital of Australia?").choices[0].message
    text, reason, title, *nearest = message.content.replace("\n\n", "\n").split("\n")

    assert text == "The documents don't say."
    assert reason.startswith("No quote, because no")
    assert (title, len(nearest)) == ("Nearest passages:", 3)
    assert all(", characters " in line for line in nearest)
    assert message.citations == []


def test_a_stream_says_the_same_piece_by_piece(client: openai.OpenAI):
    whole = ask(client, QUESTION)
    chunks = list(ask(client, QUESTION, stream=True, stream_options={"include_usage": True}))

    *spoken, last, usage = chunks
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert spoken[0].choices[0].delta.role == "assistant"
    said = [chunk.choices[0].delta.content for chunk in spoken]
    assert "".join(said) == whole.choices[0].message.content
    assert "".join(said[:-1]) == whole.answer["text"]
    assert [chunk.choices[0].finish_reason for chunk in spoken] == [None] * len(spoken)
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.citations == whole.choices[0].message.citations
    assert last.answer["citations"] == whole.answer["citations"]
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert last.usage is None


def test_a_stream_has_no_usage_unless_it_is_asked_for_and_ends_with_done(url: str):
    sent = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
    reply = httpx.post(f"{url}/v1/chat/completions", json=sent, timeout=PATIENCE_S)

    *chunks, done, rest = reply.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert not any("usage" in json.loads(chunk.removeprefix("data: ")) for chunk in chunks)


def test_earlier_messages_are_the_history_without_their_footers(client: openai.OpenAI, seed_engine: Engine):
    first = ask(client, QUESTION)
    then = ask(client, QUESTION, first.choices[0].message.content, "What did he say?")

    expected = seed_engine.answer("What did he say?", history=[(QUESTION, first.answer["text"])])
    assert then.answer["taken_as"] == expected.taken_as == f"What did {first.answer['short']} say?"
    assert then.answer["text"] == expected.text
    assert f"\nTaken to mean: {expected.taken_as}" in then.choices[0].message.content


def test_what_is_neither_a_question_nor_its_answer_is_passed_over(client: openai.OpenAI):
    response = client.chat.completions.create(
        model="anything",
        messages=[
            {"role": "system", "content": "Answer in French."},
            {"role": "assistant", "content": "Welcome!"},
            {"role": "user", "content": [{"type": "text", "text": "Who is the"}]},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "content": {"any": "thing"}, "tool_call_id": "1"},  # type: ignore[dict-item]
            {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        ],
    )

    assert response.model_extra["answer"]["question"] == QUESTION
    assert response.model_extra["answer"]["abstained"] is None


A_LIST = "Send a list of at most 1,000 messages, the user's question last."


@pytest.mark.parametrize(
    ("sent", "message", "param"),
    [
        ({"n": 2}, "n is 2. Send 1, or leave it out: a question has one answer.", "n"),
        ({"n": True}, "n is true. Send 1, or leave it out: a question has one answer.", "n"),
        ({"stream": "yes"}, 'stream is "yes". Send true or false.', "stream"),
        ({"stream_options": 1}, "stream_options is 1. Send an object.", "stream_options"),
        (
            {"tool_choice": "required"},
            'tool_choice is "required". Leave it out: the documents can\'t call tools.',
            "tool_choice",
        ),
        ({"messages": None}, f"messages is null. {A_LIST}", "messages"),
        ({"messages": []}, f"messages is a list of 0. {A_LIST}", "messages"),
        (
            {"messages": [{"role": "user", "content": "x"}] * 1_001},
            f"messages is a list of 1,001. {A_LIST}",
            "messages",
        ),
        ({"messages": ["x"]}, 'messages[0] is "x". Send an object with role and content.', "messages[0]"),
        (
            {"messages": [{"content": "x"}]},
            "messages[0].role is missing. Send an object with role and content.",
            "messages[0].role",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content is a list of 1. Send a text, or a list of text parts.",
            "messages[0].content",
        ),
        (
            {"messages": [{"role": "user", "content": {"long": "x" * 99}}]},
            f'messages[0].content is {{"long": "{"x" * 30}. Send a text, or a list of text parts.',
            "messages[0].content",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            f"messages is a list of 2. {A_LIST}",
            "messages",
        ),
        ({"messages": [{"role": "user", "content": " "}]}, "The question is empty. Type one.", None),
        (
            {"messages": [{"role": "user", "content": "x" * 5_000}], "stream": True},
            "The question has 5,000 characters; at most 4,000 can be asked. Shorten it.",
            None,
        ),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(client: openai.OpenAI, sent, message, param):
    body = {"messages": [{"role": "user", "content": QUESTION}], **sent}
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", body=body, cast_to=object)

    assert raised.value.body == {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": None,
    }


@pytest.mark.parametrize(
    ("body", "fact"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a list of 0"),
        (b"1e999", "Infinity"),
    ],
)
def test_what_is_no_json_object_is_refused(url: str, body, fact):
    reply = httpx.post(f"{url}/v1/chat/completions", content=body, timeout=PATIENCE_S)

    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == f"The request is {fact}. Send an object with messages."


def test_a_request_that_is_too_large_is_refused(url: str):
    reply = httpx.post(f"{url}/v1/chat/completions", content=b" " * 1_000_001, timeout=PATIENCE_S)

    assert reply.status_code == 413
    assert reply.json()["error"]["message"] == "The request has more than 1,000,000 bytes. Shorten it."


def test_a_question_in_characters_that_have_no_encoding_is_answered(url: str):
    body = b'{"messages": [{"role": "user", "content": "Who is the Kremlin spokesman? \\ud800"}]}'
    reply = httpx.post(f"{url}/v1/chat/completions", content=body, timeout=PATIENCE_S)

    assert reply.status_code == 200
    assert reply.json()["answer"]["question"] == f"{QUESTION} ?"


class BrokenEngine:
    """An engine that fails at once, or once it has found something."""

    def __init__(self, *, late: bool) -> None:
        self.late = late

    def stream(self, question, **_):
        if self.late:
            yield ()
        raise ModelError("model.gguf is damaged. Name another: --model NAME")


@pytest.mark.server
def test_what_is_wrong_with_the_server_is_one_sentence_too():
    for late in (False, True):
        with served(BrokenEngine(late=late)) as address:
            client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
            with pytest.raises(openai.InternalServerError, match=r"model\.gguf is damaged") as raised:
                ask(client, QUESTION)
            assert raised.value.status_code == 503
            with pytest.raises(openai.APIError, match=r"model\.gguf is damaged"):
                list(ask(client, QUESTION, stream=True))
            client.close()


@pytest.mark.server
def test_a_stream_that_is_left_frees_the_model():
    engine = TalkingEngine()
    with served(engine) as address, openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        with ask(client, QUESTION, stream=True) as chunks:
            texts = [chunk.choices[0].delta.content for chunk, _ in zip(chunks, range(3), strict=False)]

        assert texts == ["", "word ", "word "]
        assert engine.model_is_free()


async def leave(address: str, asked: threading.Event, **more) -> None:
    """Ask, and leave as soon as the question has arrived."""
    messages = [{"role": "user", "content": QUESTION}]
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        asking = asyncio.ensure_future(client.chat.completions.create(model="rag", messages=messages, **more))
        assert await asyncio.to_thread(asked.wait, 60)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


@pytest.mark.server
def test_a_request_that_is_given_up_frees_the_model():
    engine = TalkingEngine()
    with served(engine) as address:
        asyncio.run(leave(address, engine.talking))
        assert engine.model_is_free()


class SearchingEngine:
    """An engine that has found nothing yet when it is stopped."""

    def __init__(self) -> None:
        self.searching = threading.Event()
        self.ended = threading.Event()

    def stream(self, question, *, stop, **_):
        self.searching.set()
        stop.wait()
        self.ended.set()
        yield from ()


@pytest.mark.server
def test_a_stream_that_is_left_before_it_begins_is_no_error_of_the_server(capfd):
    engine = SearchingEngine()
    with served(engine) as address:
        asyncio.run(leave(address, engine.searching, stream=True))
        assert engine.ended.wait(60)
    assert capfd.readouterr().err == ""
