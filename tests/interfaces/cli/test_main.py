import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import QuestionError
from rag.interfaces.cli import main
from rag.types import Answer, Citation, Passage, Waiting
from tests.support import PATIENCE_S

PASSAGE = {"source", "start", "end", "text", "score", "dense", "keyword"}
PASSAGE |= {"title", "date", "page", "copies"}
CITATION = {"label", "source", "start", "end", "quote", "page", "copies", "context"}
ANSWER = ["question", "text", "short", "citations", "passages", "abstained", "model", "timings"]
ANSWER += ["confidence", "taken_as", "left_out", "dropped", "evidence", "prompt_tokens", "guarantee"]


@pytest.fixture
def place(seed_settings, tmp_path, monkeypatch):
    """An empty working folder; the option that names the index of the seed articles."""
    monkeypatch.chdir(tmp_path)
    for name in ("DOCUMENTS", "INDEX", "EMBEDDER", "MODEL", "RERANKER", "MODE", "THRESHOLD"):
        monkeypatch.delenv(f"RAG_{name}", raising=False)
    return f"--index={seed_settings.index}"


@pytest.fixture
def run(capsys):
    """Runs the command line: its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[object, str, str]:
        try:
            status: object = main.main(arguments)
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


class ScriptedEngine:
    """An engine that streams the queued events, raises the queued errors, and records what it was asked."""

    def __init__(self, *streams) -> None:
        self.streams = list(streams)
        self.asked: list[tuple[str, list[tuple[str, str]]]] = []

    def stream(self, question, *, history=(), since=None, until=None, sources=None):
        self.asked.append((question, list(history)))
        for event in self.streams.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


NEWS = Passage("a\x1b[2J.txt", 5, 9, "War.", 0.5)
ANSWERED = Answer(
    question="q",
    text="“War\x1b[31m.\x9b” [1]",
    short=None,
    citations=(Citation(1, "a\x1b[2J.txt", 5, 9, "War."),),
    passages=(NEWS,),
    abstained=None,
    model="queued",
    timings={},
    confidence=0.9,
)
REFUSED = Answer("q", "The documents don't say.", None, (), (NEWS,), "it is off topic", "queued", {}, 0.1)


@pytest.fixture
def scripted(monkeypatch):
    def scripted(*streams) -> ScriptedEngine:
        engine = ScriptedEngine(*streams)
        monkeypatch.setattr("rag.load", lambda **_: engine)
        return engine

    return scripted


def test_ask_json_is_one_object(place, run, seed_settings):
    status, out, err = run("ask", "Who is the Kremlin spokesman?", "--json", place)
    answer = json.loads(out)
    assert (status, err) == (0, "")
    assert sorted(answer) == sorted(ANSWER)
    assert {frozenset(passage) for passage in answer["passages"]} == {frozenset(PASSAGE)}
    assert {frozenset(citation) for citation in answer["citations"]} <= {frozenset(CITATION)}
    assert answer["question"] == "Who is the Kremlin spokesman?"
    for found, words in [(p, p["text"]) for p in answer["passages"]] + [
        (c, c["quote"]) for c in answer["citations"]
    ]:
        text = (seed_settings.documents / found["source"]).read_bytes().decode()
        assert text[found["start"] : found["end"]] == words


def test_ask_json_of_an_abstention(place, run):
    status, out, err = run("ask", "How do I bake sourdough pizza?", "--json", place)
    answer = json.loads(out)
    assert (status, err, answer["citations"], answer["short"]) == (0, "", [], None)
    assert answer["text"] == "The documents don't say."
    assert answer["abstained"] == "nothing in the documents bears on the question"


def test_search_json_is_an_array(place, run):
    status, out, err = run("search", "chlorine in Aleppo", "--json", "-k", "3", place)
    passages = json.loads(out)
    assert (status, err, len(passages)) == (0, "", 3)
    assert [set(passage) for passage in passages] == [PASSAGE] * 3
    assert [p["score"] for p in passages] == sorted((p["score"] for p in passages), reverse=True)


def test_search_prints_places(place, run):
    status, out, _ = run("search", "chlorine in Aleppo", "-k", "1", place)
    (best,) = json.loads(run("search", "chlorine in Aleppo", "--json", "-k", "1", place)[1])
    assert status == 0
    dense, keyword = best["dense"], best["keyword"]
    place_line, why = out.splitlines()[:2]
    assert place_line == f"1. {best['source']}, characters {best['start']}-{best['end']}"
    assert why == (
        f"   score {best['score']:.3f}; dense {dense['score']:.3f}, rank {dense['rank']}; "
        f"keyword {keyword['score']:.3f}, rank {keyword['rank']}"
    )


def test_an_answer_is_printed_without_control_characters(scripted, run):
    scripted([(NEWS,), Waiting(2), "“War\x1b[31m.", "\x9b” [1]", ANSWERED])
    assert run("ask", "q") == (
        0,
        "“War\ufffd[31m.\ufffd” [1]\n\n[1] a\ufffd[2J.txt, characters 5-9\n",
        "rag: waiting for 2 other answers\n",
    )


def test_an_abstention_is_printed_with_the_nearest_passages(scripted, run):
    scripted([(NEWS,), REFUSED.text, REFUSED])
    assert run("ask", "q") == (
        0,
        "The documents don't say.\n\nNo quote, because it is off topic. Nearest passages:\n"
        "  a\ufffd[2J.txt, characters 5-9\n",
        "",
    )


def test_a_built_document_with_control_characters_is_not_printed_raw(place, run, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("The \x1b[31mwar\x07 of\r 1812\x9b was long.", "utf-8")
    status, out, err = run("build", "--documents=d", "--index=i")
    assert (status, err) == (0, "")
    assert out.startswith("1 added, 0 changed, 0 removed, 0 unchanged, 0 failed in ")
    assert run("search", "war", "--index=i")[1].splitlines()[2:] == [
        "   The \ufffd[31mwar\ufffd of\ufffd 1812\ufffd was long."
    ]
    out = run("ask", "Was the war of 1812 long?", "--index=i")[1]
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b"}


def test_build_json(place, run, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("War.", "utf-8")
    (tmp_path / "d" / "b.txt").write_bytes(b"\0")
    (tmp_path / "d" / "c.csv").write_text("War", "utf-8")
    status, out, err = run("build", "--documents=d", "--index=i", "--json")
    report = json.loads(out)
    assert status == 0
    assert {**report, "seconds": 0} == {
        "added": ["a.txt"],
        "changed": [],
        "removed": [],
        "unchanged": [],
        "failed": [{"source": "b.txt", "reason": "is binary, not text"}],
        "seconds": 0,
        "passed_over": [[".csv", 1]],
    }
    assert err == (
        "rag: skipped b.txt: it is binary, not text\n"
        "rag: Not read: 1 .csv. rag reads .txt .md .html .htm .pdf .docx .eml.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "war", "--index=none"], "No index in none/. Build it: rag build"),
        (["search", "war", "--index=none"], "No index in none/. Build it: rag build"),
        (["build"], "The documents folder seeds doesn't exist. Name another: --documents DIR"),
        (
            ["ask", "war", "--model=no.gguf", "INDEX"],
            "There is no language model at no.gguf. Name a .gguf file, hf:owner/repo:pattern, or embedded.",
        ),
        (["ask", "war", "--model=hf:x", "INDEX"], "hf:x is not a model name. It has the form "),
        (["search", "war", "--embedder=nowhere", "INDEX"], "There is no embedder at nowhere: it needs "),
        (["ask", "", "INDEX"], "The question is empty. Type one."),
        (["search", " \n", "INDEX"], "The question is empty. Type one."),
        (["ask", "war " * 2000, "INDEX"], "The question has 8,000 characters; at most 4,000 can be asked."),
        (["search", "war", "-k", "0", "INDEX"], "k is 0; ask for 1 passage or more."),
        (["ask", "war", "--index="], "The setting index is empty. Give it a value, or unset RAG_INDEX."),
    ],
)
def test_what_a_user_can_put_right_is_one_line_on_stderr(place, run, arguments, message):
    status, out, err = run(*(place if argument == "INDEX" else argument for argument in arguments))
    assert (status, out) == (1, "")
    assert err.startswith(f"rag: {message}")
    assert err.index("\n") == len(err) - 1


def test_a_bad_local_prompt_is_one_line_on_stderr(place, tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "quote.txt").write_text("$question", "utf-8")
    done = rag("ask", "war", place)
    path = Path("prompts", "quote.txt")
    assert done == (1, b"", f"rag: {path} needs $evidence; it has: question{os.linesep}".encode())


def test_a_damaged_model_is_one_line_on_stderr(place, run, tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    status, out, err = run("ask", "Who is the Kremlin spokesman?", "--json", "--model=bad.gguf", place)
    assert (status, out) == (1, "")
    assert err.startswith("rag: bad.gguf can't be loaded as a language model (")
    assert err.index("\n") == len(err) - 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["ask"], ["nonsense"], ["search", "war", "-k", "x"], ["ask", "a", "b"], ["build", "--x"]],
)
def test_wrong_usage_is_exit_status_2(place, run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: rag")


def test_one_answer_that_is_waited_for_is_one(scripted, run):
    scripted([Waiting(1), ANSWERED])
    assert run("ask", "q")[2] == "rag: waiting for 1 other answer\n"


def test_help(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: rag [-h] [--version] COMMAND ...")
    for command in ("build", "ask", "search", "chat", "serve", "models"):
        assert f"\n    {command} " in out


def test_chat_keeps_its_history_and_goes_on_after_an_error(scripted, run, monkeypatch):
    engine = scripted(
        [(NEWS,), "“War.” [1]", ANSWERED],
        [QuestionError("The question\nis empty.")],
        [(NEWS,), REFUSED.text, REFUSED],
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("What?\nWhy?\nWhen?\n\nnever asked\n"))
    status, out, err = run("chat")
    assert status == 0
    assert engine.asked == [
        ("What?", []),
        ("Why?", [("What?", ANSWERED.text)]),
        ("When?", [("What?", ANSWERED.text)]),
    ]
    assert out.count("\n> ") == 4
    assert "“War.” [1]\n\n[1] a\ufffd[2J.txt, characters 5-9\n" in out
    assert err.splitlines()[1:] == ["rag: The question is empty."]


def test_chat_goes_on_after_ctrl_c(scripted, run, monkeypatch):
    def stopped():
        yield "“War"
        raise KeyboardInterrupt

    engine = scripted(stopped(), [(NEWS,), REFUSED.text, REFUSED])
    monkeypatch.setattr(sys, "stdin", io.StringIO("What?\nWhen?\n"))
    status, out, _ = run("chat")
    assert status == 0
    assert "“War\n(stopped)\n" in out
    assert engine.asked == [("What?", []), ("When?", [])]


def test_chat_reads_what_is_not_utf_8(scripted, run, monkeypatch):
    engine = scripted([(NEWS,), REFUSED.text, REFUSED])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9?\n"), encoding="utf-8"))
    assert run("chat")[0] == 0
    assert engine.asked == [("caf\ufffd?", [])]


def test_ctrl_c_is_exit_status_130(scripted, run):
    def stopped():
        raise KeyboardInterrupt
        yield

    scripted(stopped())
    assert run("ask", "q")[0] == 130


def test_a_question_of_a_time_that_no_document_has(place, run):
    status, out, err = run("ask", "Who is the Kremlin spokesman?", "--since", "2016-05", place)
    assert (status, err) == (0, "")
    assert "No quote, because no document has a date in that range." in out
    status, out, err = run("search", "Kremlin", "--until", "May", place)
    assert (status, out) == (1, "")
    assert err == "rag: until is May; give a date such as 2016, 2016-05 or 2016-05-12.\n"


def test_a_question_to_chosen_documents(place, run, seed_settings):
    first, second, *_ = sorted(path.name for path in seed_settings.documents.iterdir())
    status, out, _ = run("search", "Kremlin", "--json", "--source", first, "--source", second, place)
    assert (status, {passage["source"] for passage in json.loads(out)}) == (0, {first, second})
    status, out, _ = run("ask", "Who is the Kremlin spokesman?", "--json", "--source", first, place)
    assert (status, {passage["source"] for passage in json.loads(out)["passages"]}) == (0, {first})
    status, out, err = run("ask", "Who is the Kremlin spokesman?", "--source", "no.txt", place)
    assert (status, out) == (1, "")
    assert "/ has no document no.txt. Choose another, or index it: rag build" in err


def test_where_a_quote_stands_has_its_date_its_page_and_its_copies(scripted, run):
    passage = replace(NEWS, source="a.pdf", date="2016-05-12", page=3, copies=("b.txt",))
    citation = Citation(1, "a.pdf", 5, 9, "War.", page=4, copies=("b.txt", "c.txt"))
    scripted([replace(ANSWERED, passages=(passage,), citations=(citation,))])
    _, out, _ = run("ask", "q")
    assert "[1] a.pdf, 2016-05-12, page 4, characters 5-9, also in 2 other documents" in out


def test_doctor_proves_names_and_mends(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one.txt").write_text("The river froze in January.", "utf-8")
    assert run("doctor") == (1, "- No index in index/. Build it: rag build\n", "")
    assert run("build")[0] == 0
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    assert "documents: 1, with a date: 0; chunks: 1" in out
    assert "100.00% of 23 characters are indexed" in out
    assert out.endswith("All is well.\n")

    (vectors,) = (tmp_path / "index").glob("vectors-*")
    vectors.unlink()
    status, out, err = run("doctor", "--json")
    found = json.loads(out)
    assert (status, err, found["well"]) == (1, "", False)
    assert found["faults"] == [
        f"{vectors.name} is missing or damaged, so it is rebuilt at each start. "
        "Repair it: rag doctor --repair"
    ]
    assert run("doctor", "--repair")[0] == 0
    assert run("doctor")[0] == 0


@pytest.mark.model
def test_build_watch_builds_again_when_a_document_changes(tmp_path):
    documents = tmp_path / "seeds"
    documents.mkdir()
    (documents / "one.txt").write_text("The river froze in January.", "utf-8")
    command = [sys.executable, "-m", "rag", "build", "--watch"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as watching:
        try:
            assert watching.stdout.readline().startswith("1 added, 0 changed, 0 removed, 0 unchanged")
            (documents / "two.txt").write_text("The river froze in March.", "utf-8")
            assert watching.stdout.readline().startswith("1 added, 0 changed, 0 removed, 1 unchanged")
            (documents / "one.txt").unlink()
            assert watching.stdout.readline().startswith("0 added, 0 changed, 1 removed, 1 unchanged")
        finally:
            watching.terminate()


def test_models_lists_what_is_present(run):
    status, out, err = run("models")
    assert (status, err) == (0, "")
    assert "  SmolLM2-135M-Instruct-Q4_1 (language model): " in out
    assert re.search(r"^  rag-reader \(reader\): .*reader\.safetensors$", out, re.M)
    assert "    1 GiB  SmolLM2 135M Instruct (embedded)\n           embedded\n" in out


def rag(*arguments: str) -> tuple[int, bytes, bytes]:
    """`python -m rag` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "rag", *arguments], capture_output=True, timeout=PATIENCE_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_module_is_the_command(place):
    status, out, err = rag("--help")
    assert (status, err) == (0, b"")
    assert out.startswith(b"usage: rag [-h] [--version] COMMAND ...")
    assert rag("search", "war") == (
        1,
        b"",
        f"rag: No index in index/. Build it: rag build{os.linesep}".encode(),
    )


def test_a_terminal_of_another_encoding_gets_utf_8(place, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    status, out, err = rag("ask", "war", "--model=modèle.gguf", place)
    assert (status, out) == (1, b"")
    assert err.startswith("rag: There is no language model at modèle.gguf. ".encode())
