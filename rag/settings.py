"""Settings: keyword arguments and flags first, then `RAG_*` environment variables, then defaults."""

import os
from dataclasses import dataclass
from pathlib import Path

from rag.errors import SettingsError

DEFAULTS = {
    "documents": "seeds",
    "index": "index",
    "embedder": "embedded",
    "model": "embedded",
    "reranker": "none",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the documents and the index are (absolute), and which models to use (see `rag.models`)."""

    documents: Path
    index: Path
    embedder: str
    model: str
    reranker: str


def resolve(
    *,
    documents: str | os.PathLike[str] | None = None,
    index: str | os.PathLike[str] | None = None,
    embedder: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    reranker: str | os.PathLike[str] | None = None,
) -> Settings:
    """The settings in force; an argument that is None falls back to `RAG_NAME`, then the default."""

    def value(name: str, given: str | os.PathLike[str] | None) -> str:
        found = given if given is not None else os.environ.get(f"RAG_{name.upper()}", DEFAULTS[name])
        if "\0" in os.fspath(found):
            raise SettingsError(f"The setting {name} has a NUL character.")
        if not os.fspath(found):
            raise SettingsError(f"The setting {name} is empty. Give it a value, or unset RAG_{name.upper()}.")
        return os.fspath(found)

    def place(name: str, given: str | os.PathLike[str] | None) -> Path:
        return Path(os.path.expanduser(value(name, given))).absolute()  # noqa: PTH111  leaves an unknown ~user as it is

    return Settings(
        documents=place("documents", documents),
        index=place("index", index),
        embedder=value("embedder", embedder),
        model=value("model", model),
        reranker=value("reranker", reranker),
    )
