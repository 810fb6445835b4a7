"""Settings: keyword arguments and flags first, then `RAG_*` environment variables, then defaults."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rag.errors import SettingsError

DEFAULTS = {
    "documents": "seeds",
    "index": "index",
    "embedder": "embedded",
    "model": "embedded",
    "reranker": "none",
    "reader": "embedded",
    "mode": "auto",
    "threshold": "0.5",
}
Mode = Literal["auto", "quote", "compose"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the documents and the index are (absolute), which models to use (see `rag.models`), and how.

    `mode` says what the language model may write, `threshold` the confidence, 0 to 1, from which a question
    is answered (see `rag.engine`).
    """

    documents: Path
    index: Path
    embedder: str
    model: str
    reranker: str
    reader: str
    mode: Mode
    threshold: float


def resolve(
    *,
    documents: str | os.PathLike[str] | None = None,
    index: str | os.PathLike[str] | None = None,
    embedder: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    reranker: str | os.PathLike[str] | None = None,
    reader: str | os.PathLike[str] | None = None,
    mode: str | None = None,
    threshold: float | str | None = None,
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
        reader=value("reader", reader),
        mode=_mode(value("mode", None if mode is None else str(mode))),
        threshold=_share("threshold", value("threshold", None if threshold is None else str(threshold))),
    )


def _mode(text: str) -> Mode:
    modes: tuple[Mode, ...] = get_args(Mode)
    for mode in modes:
        if mode == text:
            return mode
    raise SettingsError(f"The setting mode is {text}. Modes: {', '.join(modes)}.")


def _share(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise SettingsError(f"The setting {name} is {text}; it is a number from 0 to 1.")
    return number
