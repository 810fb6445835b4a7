"""Settings: keyword arguments and flags first, then `RAG_*` environment variables, then defaults."""

import ipaddress
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rag.errors import SettingsError
from rag.uris import Place, is_milvus, milvus_address

DEFAULTS = {
    "documents": "seeds",
    "index": "index",
    "embedder": "embedded",
    "precision": "int8",
    "model": "embedded",
    "retrieval": "hybrid",
    "reranker": "none",
    "reader": "embedded",
    "mode": "auto",
    "threshold": "0.5",
}
Mode = Literal["auto", "quote", "compose"]
Precision = Literal["int8", "fp32"]
Retrieval = Literal["hybrid", "dense"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the documents and the index are (absolute), which models to use (`rag.models.registry`), and how.

    `precision` is that of the embedder's weights: eight bits, for embedders that allow it, or as they are.
    `retrieval` is `hybrid`, by meaning and by words, or `dense`, by meaning alone.
    `mode` says what the language model may write, `threshold` the confidence, 0 to 1, from which a question
    is answered (see `rag.answering.engine`).
    """

    documents: Path
    index: Place
    embedder: str
    precision: Precision
    model: str
    retrieval: Retrieval
    reranker: str
    reader: str
    mode: Mode
    threshold: float


def resolve(
    *,
    documents: str | os.PathLike[str] | None = None,
    index: str | os.PathLike[str] | None = None,
    embedder: str | os.PathLike[str] | None = None,
    precision: str | None = None,
    model: str | os.PathLike[str] | None = None,
    retrieval: str | None = None,
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

    named = value("index", index)
    return Settings(
        documents=place("documents", documents),
        index=milvus_address(named) if is_milvus(named) else place("index", named),
        embedder=value("embedder", embedder),
        precision=_one_of(Precision, "precision", value("precision", precision)),
        model=value("model", model),
        retrieval=_one_of(Retrieval, "retrieval", value("retrieval", retrieval)),
        reranker=value("reranker", reranker),
        reader=value("reader", reader),
        mode=_one_of(Mode, "mode", value("mode", None if mode is None else str(mode))),
        threshold=_share("threshold", value("threshold", None if threshold is None else str(threshold))),
    )


def _one_of(names: Any, name: str, text: str) -> Any:
    known: tuple[str, ...] = get_args(names)
    if text in known:
        return text
    raise SettingsError(f"The setting {name} is {text}. It is one of: {', '.join(known)}.")


def _share(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise SettingsError(f"The setting {name} is {text}; it is a number from 0 to 1.")
    return number


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the page is served, and what may be done there.

    `port` is None for the first free one from 7860. Without a `user` nobody is asked for a password.
    `read_only` keeps the page from changing the documents.
    """

    host: str
    port: int | None
    user: str
    password: str
    read_only: bool


def resolve_serving(
    *,
    host: str | None = None,
    port: int | None = None,
    user: str | None = None,
    password: str | None = None,
    read_only: bool | None = None,
) -> Serving:
    """The settings in force; an argument that is None falls back to `RAG_NAME`, then the default.

    `SettingsError` for a user without a password, and for a host that others reach without one.
    """
    named = os.environ.get
    found = Serving(
        host=host or named("RAG_HOST") or "127.0.0.1",
        port=port if port is not None else _port(named("RAG_PORT")),
        user=user or named("RAG_USER") or "",
        password=password or named("RAG_PASSWORD") or "",
        read_only=_switch("RAG_READ_ONLY", named("RAG_READ_ONLY")) if read_only is None else read_only,
    )
    if bool(found.user) != bool(found.password):
        raise SettingsError(
            "The page needs both a user and a password, or neither: RAG_USER and RAG_PASSWORD."
        )
    if ":" in found.host:
        raise SettingsError(f"The host is {found.host}; name one, or give its IPv4 address.")
    if found.port is not None and not 0 < found.port < 65_536:
        raise SettingsError(f"The port is {found.port}; it is a number from 1 to 65535.")
    if not found.user and not _is_loopback(found.host):
        raise SettingsError(
            f"Others reach the page at {found.host}: set RAG_USER and RAG_PASSWORD, or leave the host out."
        )
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise SettingsError(f"RAG_PORT is {text}; it is a number from 1 to 65535.")
    return int(text)


def _switch(name: str, text: str | None) -> bool:
    if text in (None, "", "0", "1"):
        return text == "1"
    raise SettingsError(f"{name} is {text}; it is 1, or 0.")
