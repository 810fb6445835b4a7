from pathlib import Path

import pytest

from rag.errors import SettingsError
from rag.settings import Serving, Settings, resolve, resolve_serving

NAMES = ("documents", "index", "embedder", "model", "reranker", "reader")
SETTINGS = (*NAMES, "precision", "retrieval", "mode", "threshold")
SERVING = ("host", "port", "user", "password", "read_only")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*SETTINGS, *SERVING):
        monkeypatch.delenv(f"RAG_{name.upper()}", raising=False)
    return Path.cwd()


def test_defaults(here):
    assert resolve() == Settings(
        here / "seeds",
        here / "index",
        "embedded",
        "int8",
        "embedded",
        "hybrid",
        "none",
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
        "big.gguf",
        "dense",
        "hf:owner/reranker",
        "mine.safetensors",
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
    assert found == Settings(here / "a", here / "b", "c", "fp32", "d", "dense", "e", "f", "compose", 0.0)


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
        ({"port": 0}, "The port is 0; it is a number from 1 to 65535."),
        ({"port": 70_000}, "The port is 70000; it is a number from 1 to 65535."),
    ],
)
def test_what_would_let_others_in_or_can_not_be_served_is_refused(given, message):
    with pytest.raises(SettingsError) as refused:
        resolve_serving(**given)
    assert str(refused.value) == message


@pytest.mark.parametrize(("name", "value"), [("RAG_PORT", "x"), ("RAG_READ_ONLY", "yes")])
def test_a_variable_of_the_page_that_is_no_value_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name} is {value}; it is "):
        resolve_serving()
