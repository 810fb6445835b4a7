"""A language model behind servers: the same guarantee, whichever server answers, and one that goes away."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rag import wiring
from rag.errors import ModelError, SettingsError
from rag.interfaces.rendering import describe
from rag.llm.base import LanguageModel
from rag.llm.grammar import compose_grammar, label_grammar
from rag.llm.remote import RemoteModel
from rag.settings import Settings
from rag.types import Answer
from rag.uris import ServedModel, served_model
from tests.support import PATIENCE_S, ROOT, wait_until
from tests.support.answers import QUESTIONS, assert_exact
from tests.support.model_servers import free_port, llama_server, scripted

GRAMMAR = r'root ::= line "\n" line "\n" line' + "\nline ::= [a-z ]{60}"


@contextlib.contextmanager
def remote(address: str | ServedModel) -> Iterator[RemoteModel]:
    found = served_model(address) if isinstance(address, str) else address
    with contextlib.closing(RemoteModel(found)) as model:
        yield model


def written(model: LanguageModel, grammar: str, *, opening: str = "", max_tokens: int = 300) -> list[str]:
    return list(
        model.generate(
            "Tell a story.",
            opening=opening,
            grammar=grammar,
            bias={},
            max_tokens=max_tokens,
            cancelled=lambda: False,
        )
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with llama_server(tmp_path_factory.mktemp("server") / "log") as (url, _):
        yield url


@pytest.fixture(scope="module")
def served(url) -> Iterator[RemoteModel]:
    with remote(f"openai:smol@{url}") as model:
        yield model


def test_a_llama_cpp_server_is_held_to_a_grammar(served):
    assert served.takes_grammar
    lines = written(served, GRAMMAR)
    assert [len(line) for line in lines] == [61, 61, 60]


def test_a_reply_goes_on_after_its_opening(served):
    grammar = label_grammar([2, 5], lead="\n[", refusal=False)
    assert "".join(written(served, grammar, opening='[1] He said "no", 和平.')) in {"\n[2]", "\n[5]"}
    texts = ["War.", "Peace and bread."]
    composed = "".join(written(served, compose_grammar(texts, max_quotes=1, max_chars=400, may_refuse=False)))
    assert composed.endswith(("“War.” [1]", "“Peace and bread.” [2]"))


@pytest.mark.parametrize("mode", ["auto", "quote"])
def test_answers_of_a_server_are_quoted_to_the_character(url, mode, seed_settings: Settings):
    engine = wiring.engine(replace(seed_settings, model=f"openai:smol@{url}", mode=mode, threshold=0.0))
    cited = 0
    for row in QUESTIONS["answerable"][:6]:
        answer = engine.answer(row["question"])
        assert answer.guarantee == "grammar"
        assert answer.model == "smol"
        assert_exact(answer, seed_settings)
        cited += len(answer.citations)
    assert cited >= 6


def test_one_of_two_servers_is_killed_in_mid_answer(url, tmp_path, monkeypatch):
    monkeypatch.setattr("rag.llm.remote.READ_S", 10.0 * PATIENCE_S)  # its end is noticed, not waited for
    with (
        llama_server(tmp_path / "log") as (other, process),
        remote(f"openai:smol@{other},{url}") as both,
    ):
        lines = []
        for line in both.generate(
            "Tell a story.", opening="", grammar=GRAMMAR, bias={}, max_tokens=300, cancelled=lambda: False
        ):
            lines.append(line)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        assert process.poll() == -signal.SIGKILL
        assert [len(line) for line in lines] == [61, 61, 60]
        for _ in range(2):
            assert [len(line) for line in written(both, GRAMMAR)] == [61, 61, 60]


def test_a_question_is_answered_though_a_server_is_killed(url, tmp_path, seed_settings: Settings):
    question = QUESTIONS["answerable"][0]["question"]
    with llama_server(tmp_path / "log") as (other, process):
        model = f"openai:smol@{other},{url}"
        engine = wiring.engine(replace(seed_settings, model=model, threshold=0.0))
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(engine.answer(question)))
        wait_until(lambda: engine._worker.model is not None, "the model is loaded")
        asking.start()
        log = tmp_path / "log"
        wait_until(
            lambda: "chat/completions" in log.read_text() or not asking.is_alive(), "a server is asked"
        )
        process.kill()
        asking.join(PATIENCE_S)
    (answer,) = answers
    assert answer.citations
    assert_exact(answer, seed_settings)


def test_without_a_grammar_quotes_are_located_and_what_is_not_there_is_dropped(seed_settings: Settings):
    engine = wiring.engine(seed_settings)
    said = engine.answer("Who is the Kremlin spokesman?").citations[0].quote
    part = " ".join(said.split()[:6])
    reply = (
        f"The answer is here. “{part}” [1]\n"
        "Everybody agrees. “The Kremlin is painted green on Sundays.” [1]\n"
        f'It is said once more. "{part}" [9]\n'
        "And a word without a quote."
    )
    with scripted(reply) as server:
        located = wiring.engine(replace(seed_settings, model=f"openai:free@{server.url}"))
        answer = located.answer("Who is the Kremlin spokesman?")
    assert answer.guarantee == "location"
    assert [citation.quote for citation in answer.citations] == [part]
    assert answer.text == f"“{part}” [{answer.citations[0].label}]"
    assert_exact(answer, seed_settings)
    assert answer.dropped == 5  # the sentences of the model's, the invented quote one of them
    assert describe(answer).notes == (
        "The model's server does not support grammars: quotes were checked against the documents. "
        "Removed 5 sentences written by the model.",
    )
    assert "grammar" not in server.asked[-1]
    assert "painted" not in answer.text


def test_without_a_grammar_a_refusal_is_an_abstention(seed_settings: Settings):
    with scripted("[0]") as server:
        answer = wiring.engine(replace(seed_settings, model=f"openai:no@{server.url}")).answer(
            "Who is the Kremlin spokesman?"
        )
    assert answer.abstained == "no sentence of the documents answers the question"
    assert answer.citations == ()


@pytest.mark.parametrize("end", ["done", "odd"])
def test_a_reply_is_read_as_servers_write_it(end):
    text = "One\u2028line\x85 of 和平.\n🍞"
    with scripted(text, end=end) as server, remote(ServedModel("m", (server.url + "/v1",))) as model:
        assert "".join(written(model, "")) == text


def test_what_keeps_a_connection_alive_is_no_answer(monkeypatch):
    monkeypatch.setattr("rag.llm.remote.READ_S", 0.5)
    with (
        scripted("Late.") as slow,
        scripted("Soon.") as quick,
        remote(ServedModel("m", (slow.url + "/v1", quick.url + "/v1"))) as model,
    ):
        slow.end = "pings"
        assert written(model, "") == written(model, "") == ["Soon."]


def test_a_reply_that_is_cancelled_while_a_server_is_silent_asks_no_other():
    stop = threading.Event()
    with (
        scripted("Late.") as slow,
        scripted("Soon.") as other,
        remote(ServedModel("m", (slow.url + "/v1", other.url + "/v1"))) as model,
    ):
        asked = len(other.asked)
        slow.end = "pings"
        threading.Timer(0.3, stop.set).start()
        pieces = model.generate(
            "Hello.", opening="", grammar="", bias={}, max_tokens=9, cancelled=stop.is_set
        )
        assert list(pieces) == []
        assert len(other.asked) == asked


@pytest.mark.parametrize("end", ["cut", "error", "401", "404", "500", "503"])
def test_a_server_that_breaks_off_is_followed_by_the_next(end):
    lines = ["One line.\n", "Another.\n", "The last."]
    with (
        scripted("".join(lines)) as whole,
        scripted("One line.\nAno") as broken,
        remote(ServedModel("m", (broken.url + "/v1", whole.url + "/v1"))) as model,
    ):
        broken.end = end
        for _ in range(3):
            assert written(model, "") == lines


def test_what_one_server_had_to_do_is_shared_by_the_others():
    with scripted("One.") as first, scripted("One.") as second, scripted("One.") as third:
        urls = tuple(server.url + "/v1" for server in (first, second, third))
        with remote(ServedModel("m", urls)) as model:
            before = len(second.asked), len(third.asked)
            first.end = "503"
            for _ in range(20):
                written(model, "")
        shares = [len(second.asked) - before[0], len(third.asked) - before[1]]
        assert sum(shares) == 20
        assert min(shares) >= 9


def test_a_key_is_sent_only_where_it_is_meant_to_be(monkeypatch, seed_settings: Settings):
    asked: list[Any] = []
    monkeypatch.setattr(wiring, "_worker", asked.append)
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-service")
    monkeypatch.delenv("RAG_MODEL_KEY", raising=False)
    wiring.engine(replace(seed_settings, model="openai:m@http://a:1"))
    monkeypatch.setenv("RAG_MODEL_KEY", "of-this-one")
    wiring.engine(replace(seed_settings, model="openai:m@http://a:2"))
    assert [model.key for model in asked] == ["", "of-this-one"]


def test_a_key_with_the_end_of_its_line_is_taken_without_it_and_what_is_no_key_is_not_repeated():
    assert served_model("openai:m@http://a:1", " sk-secret\r\n").key == "sk-secret"
    for key in ("sk-sec\rret", "sk-sécret", "sk\x1b[0m"):
        with pytest.raises(SettingsError) as told:
            served_model("openai:m@http://a:1", key)
        assert str(told.value) == "RAG_MODEL_KEY has characters that no key has. Set it again."


@pytest.mark.parametrize("host", ["höst_x", "xn--", "a..b"])
def test_a_name_that_no_server_can_have_is_told_of(host):
    with pytest.raises(ModelError, match=rf"^http://{host}:80/v1 is not a valid address \(.*\)\. Start a"):
        RemoteModel(served_model(f"openai:m@http://{host}:80"))


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://a"])
def test_a_proxy_that_cannot_be_used_is_told_of(proxy, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ModelError, match=r"^The proxy in HTTP_PROXY, .* can't be used \(.*\)\. Set another"):
        RemoteModel(served_model("openai:m@http://127.0.0.1:80"))


def test_lines_that_were_passed_on_are_not_written_again():
    with (
        scripted("Other.\nAnother.") as whole,
        scripted("One line.\nAno") as broken,
        remote(ServedModel("m", (broken.url + "/v1", whole.url + "/v1"))) as model,
    ):
        broken.end = "cut"
        assert written(model, "") == ["One line.\n", "Another."]


def test_a_slow_server_is_followed_by_the_next_or_told_of(monkeypatch):
    monkeypatch.setattr("rag.llm.remote.READ_S", 0.5)
    with (
        scripted("Late.") as slow,
        scripted("Soon.") as quick,
        remote(ServedModel("m", (slow.url + "/v1", quick.url + "/v1"))) as model,
        remote(ServedModel("m", (slow.url + "/v1",))) as alone,
    ):
        slow.end = "silence"
        assert written(model, "") == ["Soon."]
        with pytest.raises(ModelError, match=r"doesn't answer \(waited 0\.5 s\)\. Ask again"):
            written(alone, "")


def test_no_server_at_all_is_one_sentence_that_names_them(seed_settings: Settings):
    gone = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    engine = wiring.engine(replace(seed_settings, model=f"openai:m@{gone[0]},{gone[1]}"))
    with pytest.raises(ModelError) as told:
        engine.answer("Who is the Kremlin spokesman?")
    assert all(url in str(told.value) for url in gone)
    assert str(told.value).endswith("Start a server, or name another one: --model openai:NAME@URL")


@pytest.mark.server
def test_a_key_is_sent_and_a_wrong_one_is_told_of(tmp_path):
    with llama_server(tmp_path / "log", "--api_key", "right") as (url, _):
        with pytest.raises(ModelError, match=r"v1 requires an API key: set RAG_MODEL_KEY\. Start a server"):
            RemoteModel(served_model(f"openai:smol@{url}"))
        with pytest.raises(ModelError, match=r"v1 rejected the key in RAG_MODEL_KEY\. Start a server"):
            RemoteModel(served_model(f"openai:smol@{url}", "wrong"))
        with remote(served_model(f"openai:smol@{url}", "right")) as model:
            assert model.takes_grammar


def test_a_cancelled_reply_ends(served):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    grammar = "root ::= [a-z ]+"
    pieces = served.generate(
        "Tell a story.", opening="", grammar=grammar, bias={}, max_tokens=1500, cancelled=stop.is_set
    )
    assert len("".join(pieces)) < 4000


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("openai:m@http://a:1", ("http://a:1/v1",)),
        ("openai:org/m:7b@https://a/v1/,http://b:2/api", ("https://a/v1", "http://b:2/api")),
    ],
)
def test_addresses_are_understood(text, urls):
    assert served_model(text).urls == urls


@pytest.mark.parametrize(
    "text",
    [
        "openai:m",
        "openai:@http://a",
        "openai:m@ftp://a",
        "openai:m@http://",
        "openai:m@http://me:secret@a",
        "openai:m@http://me:sec,secret@a",
        "openai:m@http://a/v1?key=secret",
        "openai:m@http://a,",
    ],
)
def test_what_is_no_address_is_one_sentence(text, seed_settings):
    with pytest.raises(SettingsError, match="is written openai:NAME@http://host:port") as told:
        wiring.engine(replace(seed_settings, model=text))
    assert "secret" not in str(told.value)


def test_the_command_line_takes_it(url, seed_settings: Settings):
    ran = subprocess.run(
        [
            *[sys.executable, "-m", "rag", "ask", "Who is the Kremlin spokesman?", "--json"],
            *[f"--model=openai:smol@{url}", f"--index={seed_settings.index}"],
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answer = json.loads(ran.stdout)
    assert (answer["model"], answer["guarantee"]) == ("smol", "grammar")
