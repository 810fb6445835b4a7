import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_type_hints

import pytest

import rag
from rag import settings, wiring
from rag.errors import SettingsError
from rag.interfaces.cli import main
from rag.interfaces.cli.arguments import given, parsed
from rag.settings import (
    Secrets,
    Serving,
    Settings,
    declarations,
    resolve,
    resolve_page,
    resolve_secrets,
    resolve_serving,
)
from tests.support import ROOT
from tests.support.settings_table import settings_table

NAMES = ("documents", "index", "embedder", "model", "reranker", "reader")
SETTINGS = (*NAMES, "precision", "retrieval", "mode", "threshold")
SERVING = ("host", "port", "user", "password", "read_only")
DECLARED = (*declarations(Settings), *declarations(Serving), *declarations(Secrets))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for one in DECLARED:
        monkeypatch.delenv(one.variable, raising=False)
    return Path.cwd()


def test_defaults(here):
    assert resolve() == Settings(
        here / "seeds",
        here / "index",
        "embedded",
        "int8",
        "hybrid",
        "none",
        "embedded",
        "embedded",
        "auto",
        0.5,
    )


def test_the_environment_comes_before_the_defaults(here, monkeypatch):
    monkeypatch.setenv("RAG_DOCUMENTS", "articles")
    monkeypatch.setenv("RAG_INDEX", "~/made")
    monkeypatch.setenv("RAG_EMBEDDER", "hf:owner/embedder")
    monkeypatch.setenv("RAG_PRECISION", "fp32")
    monkeypatch.setenv("RAG_MODEL", "big.gguf")
    monkeypatch.setenv("RAG_RETRIEVAL", "dense")
    monkeypatch.setenv("RAG_RERANKER", "hf:owner/reranker")
    monkeypatch.setenv("RAG_READER", "mine.safetensors")
    monkeypatch.setenv("RAG_MODE", "quote")
    monkeypatch.setenv("RAG_THRESHOLD", "0.25")

    assert resolve() == Settings(
        here / "articles",
        Path("~/made").expanduser(),
        "hf:owner/embedder",
        "fp32",
        "dense",
        "hf:owner/reranker",
        "mine.safetensors",
        "big.gguf",
        "quote",
        0.25,
    )


def test_an_argument_comes_before_the_environment(here, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(f"RAG_{name.upper()}", "environment")

    for name in ("MODE", "THRESHOLD", "PRECISION", "RETRIEVAL"):
        monkeypatch.setenv(f"RAG_{name}", "environment")
    found = resolve(
        documents="a",
        index=Path("b"),
        embedder="c",
        precision="fp32",
        model=Path("d"),
        retrieval="dense",
        reranker="e",
        reader="f",
        mode="compose",
        threshold=0,
    )
    assert found == Settings(here / "a", here / "b", "c", "fp32", "dense", "e", "f", "d", "compose", 0.0)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_empty_value_is_an_error(name, monkeypatch):
    message = f"The setting {name} is empty. Give it a value, or unset RAG_{name.upper()}."

    with pytest.raises(SettingsError) as raised:
        resolve(**{name: ""})
    assert str(raised.value) == message

    monkeypatch.setenv(f"RAG_{name.upper()}", "")
    with pytest.raises(SettingsError) as raised:
        resolve()
    assert str(raised.value) == message


def test_a_folder_no_system_can_have_is_one_sentence():
    with pytest.raises(SettingsError, match=r"^The setting index has a NUL character\.$"):
        resolve(index="a\0b")
    assert resolve(documents="~nosuchuser/x").documents.name == "x"


def test_another_mode_is_an_error():
    with pytest.raises(
        SettingsError, match=r"^The setting mode is free\. It is one of: auto, quote, compose\.$"
    ):
        resolve(mode="free")


@pytest.mark.parametrize("threshold", ["x", "-0.1", 1.1, "nan", "inf", 2])
def test_a_threshold_that_is_no_share_is_an_error(threshold):
    with pytest.raises(SettingsError) as raised:
        resolve(threshold=threshold)
    assert str(raised.value) == f"The setting threshold is {threshold}; it is a number from 0 to 1."


def test_the_page_is_served_to_this_machine_alone():
    assert resolve_serving() == Serving("127.0.0.1", None, "", "", read_only=False)


def test_the_page_is_served_as_the_environment_says(monkeypatch):
    values = ("0.0.0.0", "8000", "ada", "lovelace", "1")
    for name, value in zip(SERVING, values, strict=True):
        monkeypatch.setenv(f"RAG_{name.upper()}", value)
    assert resolve_serving() == Serving("0.0.0.0", 8000, "ada", "lovelace", read_only=True)
    given = resolve_serving(host="localhost", port=9000, user="bob", password="x", read_only=False)
    assert given == Serving("localhost", 9000, "bob", "x", read_only=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"user": "ada"},
            "The page needs both a user and a password, or neither: RAG_USER and RAG_PASSWORD.",
        ),
        (
            {"password": "x"},
            "The page needs both a user and a password, or neither: RAG_USER and RAG_PASSWORD.",
        ),
        (
            {"host": "0.0.0.0"},
            "Others reach the page at 0.0.0.0: set RAG_USER and RAG_PASSWORD, or leave the host out.",
        ),
        ({"host": "::1"}, "The host is ::1; name one, or give its IPv4 address."),
        ({"port": 0}, "The setting port is 0; it is a number from 1 to 65535."),
        ({"port": 70_000}, "The setting port is 70000; it is a number from 1 to 65535."),
    ],
)
def test_what_would_let_others_in_or_can_not_be_served_is_refused(given, message):
    with pytest.raises(SettingsError) as refused:
        resolve_serving(**given)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "value"), [("RAG_PORT", "x"), ("RAG_PORT", "70000"), ("RAG_READ_ONLY", "yes")]
)
def test_a_variable_of_the_page_that_is_no_value_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name} is {value}; it is "):
        resolve_serving()


def test_an_empty_variable_of_the_page_counts_as_unset(monkeypatch):
    for name in SERVING:
        monkeypatch.setenv(f"RAG_{name.upper()}", "")
    assert resolve_serving(host="", user="") == Serving("127.0.0.1", None, "", "", read_only=False)


def test_a_variable_that_is_no_value_of_a_setting_is_named(monkeypatch):
    monkeypatch.setenv("RAG_THRESHOLD", "2")
    with pytest.raises(SettingsError, match=r"^RAG_THRESHOLD is 2; it is a number from 0 to 1\.$"):
        resolve()


def test_a_password_is_in_no_repr():
    assert "lovelace" not in repr(resolve_serving(user="ada", password="lovelace"))


def test_the_page_takes_its_own_settings_and_those_of_answers(here):
    found, serving = resolve_page(index="made", mode="quote", port=9000, read_only=True)
    assert found == replace(resolve(), index=here / "made", mode="quote")
    assert serving == Serving("127.0.0.1", 9000, "", "", read_only=True)


def test_secrets_come_from_the_environment(monkeypatch):
    assert resolve_secrets() == Secrets("", "", "", "")
    for name, value in (("USER", "ada"), ("PASSWORD", "lovelace"), ("CERTIFICATE", "ca.pem")):
        monkeypatch.setenv(f"RAG_MILVUS_{name}", value)
    monkeypatch.setenv("RAG_MODEL_KEY", "sk-secret")
    assert resolve_secrets() == Secrets("sk-secret", "ada", "lovelace", "ca.pem")
    assert re.search("sk-secret|lovelace", repr(resolve_secrets())) is None


@pytest.mark.parametrize(
    ("address", "user", "password"),
    [("", "ada", "lovelace"), ("bob@", "bob", "lovelace"), ("bob:x@", "bob", "x"), (":x@", "", "x")],
)
def test_who_asks_milvus_stands_in_the_address_or_in_the_environment(monkeypatch, address, user, password):
    monkeypatch.setenv("RAG_MILVUS_USER", "ada")
    monkeypatch.setenv("RAG_MILVUS_PASSWORD", "lovelace")
    monkeypatch.setenv("RAG_MILVUS_CERTIFICATE", "ca.pem")
    found = resolve(index=f"milvus+tls://{address}host/articles").index
    assert (found.user, found.password, found.certificate) == (user, password, "ca.pem")


def test_no_other_module_reads_a_variable_of_ours():
    found = set()
    for path in (ROOT / "app.py", *(ROOT / "rag").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call | ast.Subscript | ast.Compare):
                text = ast.unparse(node)
                if re.search(r"environ|getenv", text) and "RAG_" in text:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == set()  # rag/settings.py makes the names of the declarations
    reading = {
        "rag/__init__.py",
        "rag/documents/sandbox.py",
        "rag/indexing/ray_cluster.py",
        "rag/models/cpu.py",
    }
    assert {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rag").rglob("*.py")
        if re.search(r"\benviron\b|\bgetenv\b", path.read_text("utf-8"))
    } == {"rag/settings.py", *reading}


@pytest.mark.parametrize(
    ("command", "options", "positional"),
    [
        ("build", settings.IndexOptions, {"documents"}),
        ("search", settings.SearchOptions, set()),
        ("ask", settings.AnswerOptions, set()),
        ("serve", settings.PageOptions, {"-password"}),
    ],
)
def test_keyword_arguments_are_those_that_are_declared(command, options, positional):
    declared = {one.name for one in DECLARED if command in one.commands}
    assert declared ^ set(get_type_hints(options)) == {name.removeprefix("-") for name in positional}


@pytest.mark.parametrize(
    "call",
    [
        lambda: rag.load(documents="seeds"),  # type: ignore[call-arg]
        lambda: rag.search("war", mode="quote"),  # type: ignore[call-arg]
        lambda: rag.build(reranker="none"),  # type: ignore[call-arg]
        lambda: rag.answer("war", colour="red"),  # type: ignore[call-arg]
        lambda: resolve(port=1),  # type: ignore[call-arg]
        lambda: resolve_serving(index="a"),  # type: ignore[call-arg]
        lambda: resolve_page(colour="red"),  # type: ignore[call-arg]
    ],
)
def test_a_keyword_argument_that_is_no_setting_there_is_an_error(call):
    with pytest.raises(TypeError, match=r"^\w+ is not a setting here\. There are: "):
        call()


def test_the_table_of_the_readme_is_that_of_the_declarations():
    assert settings_table() in (ROOT / "README.md").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Coloured(Settings):
    colour: Literal["red", "blue"] = settings.setting("red", "the colour of `quotes`", "ask", "serve")


@pytest.fixture
def coloured(monkeypatch):
    """A setting more, declared in one place."""
    monkeypatch.setattr(settings, "Settings", Coloured)


def test_a_setting_is_a_keyword_argument_a_flag_a_variable_and_a_row(coloured, monkeypatch, capsys):
    monkeypatch.setattr(wiring, "engine", lambda settings: settings.colour)
    assert rag.load() == "red"
    assert rag.load(colour="blue") == "blue"  # type: ignore[call-arg]
    monkeypatch.setenv("RAG_COLOUR", "blue")
    assert rag.load() == "blue"
    assert rag.load(colour="red") == "red"  # type: ignore[call-arg]
    monkeypatch.setenv("RAG_COLOUR", "green")
    with pytest.raises(SettingsError, match=r"^RAG_COLOUR is green\. It is one of: red, blue\.$"):
        rag.load()

    assert given(parsed(["ask", "war", "--colour", "blue"]))["colour"] == "blue"
    assert "colour" not in given(parsed(["search", "war"]))
    with pytest.raises(SystemExit):
        main.main(["ask", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--colour {red,blue} the colour of quotes (default: RAG_COLOUR, then red)" in shown
    assert "| `colour` | `RAG_COLOUR` | `red` | the colour of `quotes` |\n" in settings_table()
