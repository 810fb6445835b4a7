"""MCP's own client, over stdin and stdout and over HTTP, asking the seed articles."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from rag.answering.engine import Engine
from rag.interfaces.api.security import Login
from rag.settings import Settings
from tests.support import PATIENCE_S, ROOT
from tests.support.api_server import TalkingEngine, served

QUESTION = "Who is the Kremlin spokesman?"


def over_http(url: str, use):
    """What `use` gives of a client over HTTP."""

    async def run():
        async with Client(f"{url}/mcp") as client:
            return await use(client)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def url(seed_engine: Engine):
    with served(seed_engine) as address:
        yield address


def plain(value):
    return json.loads(json.dumps(value))


def test_the_tools_say_what_they_take_and_give(url: str):
    tools = over_http(url, lambda client: client.list_tools()).tools

    assert [tool.name for tool in tools] == ["ask", "search", "open_source"]
    assert [sorted(tool.input_schema["properties"]) for tool in tools] == [
        ["history", "question", "since", "sources", "until"],
        ["k", "query", "since", "sources", "until"],
        ["end", "source", "start"],
    ]
    assert [tool.input_schema["required"] for tool in tools] == [["question"], ["query"], ["source"]]
    assert "citations" in tools[0].output_schema["properties"]
    assert list(tools[1].output_schema["properties"]) == ["passages"]
    assert all(tool.annotations.read_only_hint for tool in tools)


def test_ask_gives_the_answer_and_tells_it(url: str, seed_engine: Engine, seed_settings: Settings):
    result = over_http(url, lambda client: client.call_tool("ask", {"question": QUESTION}))
    answer = seed_engine.answer(QUESTION)

    assert not result.is_error
    assert result.structured_content["text"] == answer.text
    assert result.structured_content["citations"] == plain(list(map(asdict, answer.citations)))
    for citation in result.structured_content["citations"]:
        text = (seed_settings.documents / citation["source"]).read_bytes().decode()
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    (told,) = result.content
    assert told.text.startswith(
        f"{answer.text}\n\nSources:\n[{answer.citations[0].label}] {answer.citations[0].source}, "
    )


def test_ask_goes_on_from_a_history(url: str, seed_engine: Engine):
    history = [[QUESTION, "Dmitry Peskov"]]
    sent = {"question": "What did he say?", "history": history, "since": "", "until": " "}
    result = over_http(url, lambda client: client.call_tool("ask", sent))

    expected = seed_engine.answer("What did he say?", history=[(QUESTION, "Dmitry Peskov")])
    assert result.structured_content["taken_as"] == "What did Dmitry Peskov say?"
    assert result.structured_content["text"] == expected.text


def test_search_gives_the_passages(url: str, seed_engine: Engine):
    sent = {"query": "chlorine in Aleppo", "k": 3}
    result = over_http(url, lambda client: client.call_tool("search", sent))

    found = seed_engine.search("chlorine in Aleppo", k=3)
    given = result.structured_content["passages"]
    assert [(one["source"], one["start"], one["end"], one["text"], one["score"]) for one in given] == [
        (one.source, one.start, one.end, one.text, one.score) for one in found
    ]
    assert result.content[0].text.startswith(f"1. {found[0].source}, ")
    assert f"\n{found[2].text}" in result.content[0].text


def test_open_source_gives_the_text_of_the_index(url: str, seed_settings: Settings, seed_engine: Engine):
    (passage,) = seed_engine.search("the Kremlin spokesman", k=1)
    text = (seed_settings.documents / passage.source).read_bytes().decode()
    sent = {"source": passage.source, "start": 10, "end": 60}
    part = over_http(url, lambda client: client.call_tool("open_source", sent))
    whole = over_http(url, lambda client: client.call_tool("open_source", {"source": passage.source}))

    assert part.structured_content == {
        "source": passage.source,
        "start": 10,
        "end": 60,
        "text": text[10:60],
        "title": passage.title,
        "date": passage.date,
        "characters": len(text),
    }
    assert part.content[0].text == f"{passage.source}, characters 10-60 of {len(text)}\n\n{text[10:60]}"
    assert whole.structured_content["text"] == text


@pytest.mark.parametrize(
    ("tool", "sent", "message"),
    [
        ("ask", {"question": " "}, "The question is empty. Type one."),
        ("ask", {"question": "x", "since": "May"}, "since is May; give a date such as 2016, 2016-05 or"),
        ("ask", {"question": "x", "history": [["alone"]]}, "history must be pairs of texts, oldest first:"),
        ("search", {"query": "x", "k": 0}, "k is 0; ask for 1 passage or more."),
        (
            "open_source",
            {"source": "../seeds/x"},
            "The index has no document ../seeds/x. Name one as passages and citations do.",
        ),
    ],
)
def test_what_is_wrong_is_the_one_sentence_of_the_error(url: str, tool, sent, message):
    result = over_http(url, lambda client: client.call_tool(tool, sent))

    assert result.is_error
    assert result.content[0].text.startswith(message)
    assert "\n" not in result.content[0].text


@pytest.mark.server
def test_a_call_that_is_given_up_frees_the_model():
    engine = TalkingEngine()

    async def leave(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "ask", {"question": QUESTION})
            assert await asyncio.to_thread(engine.talking.wait, 60)
            group.cancel_scope.cancel()

    with served(engine) as address:
        over_http(address, leave)
        assert engine.model_is_free()


@pytest.mark.server
def test_it_asks_for_the_password_if_there_is_one(seed_engine: Engine):
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    headers = {"Accept": "application/json, text/event-stream"}
    with served(seed_engine, login=Login("reader", "secret")) as address:
        reply = httpx.post(f"{address}/mcp", json=hello, headers=headers, timeout=PATIENCE_S)
        assert reply.status_code == 401
        headers["Authorization"] = "Bearer secret"
        reply = httpx.post(f"{address}/mcp", json=hello, headers=headers, timeout=PATIENCE_S)
        assert reply.status_code == 200


@pytest.mark.server
def test_its_own_protection_is_on(seed_engine: Engine):
    """Behind another guard too, a name of another machine is refused."""
    from rag.interfaces.api.mcp_server import http_tools
    from rag.interfaces.api.service import Programs

    app, _ = http_tools(Programs(lambda: seed_engine), host="127.0.0.1")
    settings = app.session_manager.security_settings

    assert settings.enable_dns_rebinding_protection
    assert settings.allowed_hosts == [
        f"{name}{port}" for name in ("127.0.0.1", "localhost", "[::1]", "127.0.0.1") for port in ("", ":*")
    ]


def command(settings: Settings) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=[
            *("-m", "rag", "serve", "--mcp"),
            *("--documents", str(settings.documents), "--index", str(settings.index)),
        ],
        env={"PYTHONPATH": str(ROOT)},
        cwd=str(ROOT),
    )


@pytest.mark.server
def test_a_program_starts_it_and_asks_over_stdin_and_stdout(seed_settings: Settings, seed_engine: Engine):
    async def run():
        async with Client(command(seed_settings)) as client:
            return await client.call_tool("ask", {"question": QUESTION})

    result = asyncio.run(run())

    assert result.structured_content["text"] == seed_engine.answer(QUESTION).text


@pytest.mark.model
@pytest.mark.server
def test_the_index_follows_the_documents_while_it_is_served(tmp_path):
    from rag.settings import resolve

    settings = resolve(documents=tmp_path / "seeds", index=tmp_path / "index")
    settings.documents.mkdir()
    (settings.documents / "one.txt").write_text("The river froze in January.", "utf-8")

    async def run() -> list[str]:
        async with Client(command(settings)) as client:
            said = []
            for month in ("January", "March"):
                (settings.documents / "one.txt").write_text(f"The river froze in {month}.", "utf-8")
                with anyio.fail_after(PATIENCE_S):
                    read = await client.call_tool("open_source", {"source": "one.txt"})
                    while read.is_error or month not in read.structured_content["text"]:
                        await anyio.sleep(0.1)
                        read = await client.call_tool("open_source", {"source": "one.txt"})
                said.append(read.structured_content["text"])
            return said

    assert asyncio.run(run()) == ["The river froze in January.", "The river froze in March."]


@pytest.mark.server
def test_nothing_but_the_protocol_reaches_stdout(tmp_path):
    """With no documents at all: the handshake doesn't wait for them, and each call says what is wrong."""
    (tmp_path / "seeds").mkdir()

    async def run() -> tuple[list[bytes], bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "rag", "serve", "--mcp", "--documents", str(tmp_path / "seeds")),
            *("--index", str(tmp_path / "index")),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        call = {"name": "search", "arguments": {"query": "x"}}
        messages: list[dict[str, Any]] = [
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": call},
        ]
        lines = []
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            if "id" in message:
                lines.append(await process.stdout.readline())
        process.stdin.close()
        rest, errors = await process.stdout.read(), await process.stderr.read()
        assert await process.wait() == 0, errors
        return lines, rest

    (first, second), rest = asyncio.run(run())
    assert json.loads(first)["result"]["serverInfo"]["name"] == "rag"
    result = json.loads(second)["result"]
    assert result["isError"]
    assert result["content"][0]["text"].startswith(f"{tmp_path / 'seeds'} has no readable document")
    assert rest == b""
