from pathlib import Path

import pytest

from rag.errors import SettingsError
from rag.settings import Settings, resolve

NAMES = ("documents", "index", "embedder", "model", "reranker")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(f"RAG_{name.upper()}", raising=False)
    return Path.cwd()


def test_defaults(here):
    assert resolve() == Settings(here / "seeds", here / "index", "embedded", "embedded", "none")


def test_the_environment_comes_before_the_defaults(here, monkeypatch):
    monkeypatch.setenv("RAG_DOCUMENTS", "articles")
    monkeypatch.setenv("RAG_INDEX", "~/made")
    monkeypatch.setenv("RAG_EMBEDDER", "hf:owner/embedder")
    monkeypatch.setenv("RAG_MODEL", "big.gguf")
    monkeypatch.setenv("RAG_RERANKER", "hf:owner/reranker")

    assert resolve() == Settings(
        here / "articles", Path("~/made").expanduser(), "hf:owner/embedder", "big.gguf", "hf:owner/reranker"
    )


def test_an_argument_comes_before_the_environment(here, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(f"RAG_{name.upper()}", "environment")

    found = resolve(documents="a", index=Path("b"), embedder="c", model=Path("d"), reranker="e")
    assert found == Settings(here / "a", here / "b", "c", "d", "e")


@pytest.mark.parametrize("name", NAMES)
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
