"""Settings: keyword arguments and flags first, then `RAG_*` environment variables, then defaults.

Each setting is declared once, as a field of `Settings`, `Serving` or `Secrets`. Its flag, its variable, its
keyword argument and its row in the README's table come from that field; for type checkers its name also
stands in the keyword arguments at the end. No other module reads a `RAG_*` variable.
"""

import ipaddress
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, get_args, get_origin

from rag.errors import SettingsError
from rag.uris import Place, is_milvus, milvus_address

StrPath = str | os.PathLike[str]
Mode = Literal["auto", "quote", "compose"]
Precision = Literal["int8", "fp32"]
Retrieval = Literal["hybrid", "dense"]


class Declaration(NamedTuple):
    """A setting as it is declared.

    `commands` have its flag, `metavar` stands for its value in their help. `read` makes the value of a text,
    after the words that an error begins with; where it is None the text is the value.
    """

    name: str
    type: Any
    default: str
    help: str
    commands: tuple[str, ...]
    metavar: str | None
    read: Callable[[str, str], Any] | None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"RAG_{self.name.upper()}"

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The values that it may have, where they can be listed."""
        return get_args(self.type) if get_origin(self.type) is Literal else None


def setting(
    default: str,
    text: str,
    *commands: str,
    metavar: str | None = None,
    read: Callable[[str, str], Any] | None = None,
    repr: bool = True,
) -> Any:
    """A field that is a setting, with `text` as its help (see `Declaration`)."""
    declared = {"default": default, "help": text, "commands": commands, "metavar": metavar, "read": read}
    return field(metadata=declared, repr=repr)


def _folder(_: str, text: str) -> Path:
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111  leaves an unknown ~user as it is


def _index(source: str, text: str) -> Place:
    if not is_milvus(text):
        return _folder(source, text)
    secrets = resolve_secrets()
    return milvus_address(
        text,
        user=secrets.milvus_user,
        password=secrets.milvus_password,
        certificate=secrets.milvus_certificate,
    )


def _share(source: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise SettingsError(f"{source} is {text}; it is a number from 0 to 1.")
    return number


def _port(source: str, text: str) -> int | None:
    if text and not (text.isdecimal() and 0 < int(text) < 65_536):
        raise SettingsError(f"{source} is {text}; it is a number from 1 to 65535.")
    return int(text) if text else None


def _switch(source: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise SettingsError(f"{source} is {text}; it is 1, or 0.")
    return text == "1"


_ANSWERING = ("ask", "chat", "serve", "eval")
_SEARCHING = ("search", *_ANSWERING)
_WITH_INDEX = ("build", "doctor", *_SEARCHING)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the documents and the index are (absolute), which models to use (`rag.models.registry`), and how.

    See the declarations, and `rag.answering.engine` for `mode` and `threshold`.
    """

    documents: Path = setting(
        "seeds",
        "the documents folder, which `build` puts into the index",
        *("build", "doctor", "serve", "eval"),
        metavar="DIR",
        read=_folder,
    )
    index: Place = setting(
        "index",
        "the index: a folder, or `milvus://host:port/collection`",
        *_WITH_INDEX,
        metavar="DIR",
        read=_index,
    )
    embedder: str = setting(
        "embedded",
        "the embedder: `embedded`, a sentence-transformers folder, or `hf:owner/repo`",
        *_WITH_INDEX,
    )
    precision: Precision = setting(
        "int8",
        "the embedder's weights: `int8` where the embedder allows it, or `fp32`; an index is read with the "
        "precision that built it",
        *_WITH_INDEX,
    )
    retrieval: Retrieval = setting(
        "hybrid",
        "`hybrid` searches by meaning and by words, `dense` by meaning alone",
        *("build", *_SEARCHING),
    )
    reranker: str = setting(
        "none",
        "a cross-encoder that reorders the passages: `none`, its folder, or `hf:owner/repo`",
        *_SEARCHING,
    )
    reader: str = setting(
        "embedded",
        "what scores how well a sentence answers and marks the short answer: `embedded`, `none` (rules "
        "alone), or the file of a trained reader",
        *_ANSWERING,
    )
    model: str = setting(
        "embedded",
        "the language model: `embedded`, a `.gguf` file, `hf:owner/repo:pattern`, or "
        "`openai:NAME@URL[,URL...]` for one on servers, with its key in `RAG_MODEL_KEY`",
        *_ANSWERING,
    )
    mode: Mode = setting(
        "auto",
        "what the language model may write: `quote` (quotes alone), `compose` (sentences of its own, each "
        "checked against its quote), or `auto` (what it is large enough for)",
        *_ANSWERING,
    )
    threshold: float = setting(
        "0.5",
        "answer when the confidence is at least this, 0 to 1; 0 always answers",
        *_ANSWERING,
        read=_share,
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the page is served, and what may be done there.

    `port` is None for the first free one from 7860. Without a `user` nobody is asked for a password.
    """

    host: str = setting("127.0.0.1", "the address that the page listens on", "serve")
    port: int | None = setting("", "the page's port; else the first free one from 7860", "serve", read=_port)
    user: str = setting("", "who may use the page, with the password in `RAG_PASSWORD`", "serve")
    password: str = setting("", "the password of `RAG_USER`", repr=False)
    read_only: bool = setting("0", "keep the page from changing the documents", "serve", read=_switch)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What has no flag, so that no list of processes shows it: keys, and who asks a Milvus server."""

    model_key: str = setting("", "the API key of a language model on servers")
    milvus_user: str = setting("", "the user on a Milvus server, if its address has none")
    milvus_password: str = setting("", "the password of that user")
    milvus_certificate: str = setting(
        "", "the certificate of who signed the Milvus server's, if the system lacks it"
    )


class IndexOptions(TypedDict, total=False):
    """The keyword arguments for an index and its embedder; None counts as not given, here and below."""

    index: StrPath | None
    embedder: StrPath | None
    precision: str | None
    retrieval: str | None


class SearchOptions(IndexOptions, total=False):
    """The keyword arguments for a search."""

    reranker: StrPath | None


class AnswerOptions(SearchOptions, total=False):
    """The keyword arguments for an answer."""

    reader: StrPath | None
    model: StrPath | None
    mode: str | None
    threshold: float | str | None


class Options(AnswerOptions, total=False):
    """The keyword arguments for all of `Settings`."""

    documents: StrPath | None


class ServingOptions(TypedDict, total=False):
    """The keyword arguments for `Serving`."""

    host: str | None
    port: int | None
    user: str | None
    password: str | None
    read_only: bool | None


class PageOptions(Options, ServingOptions, total=False):
    """The keyword arguments for the page and the answers that it gives."""


def declarations(declared: type) -> tuple[Declaration, ...]:
    """The settings that are fields of this class, in order."""
    return tuple(Declaration(one.name, one.type, **one.metadata) for one in fields(declared))


def resolve(command: str | None = None, /, **given: Unpack[Options]) -> Settings:
    """The settings in force; an argument that is None falls back to `RAG_NAME`, then the default.

    With a command, only what that takes may be given, else `TypeError`. `SettingsError` for a value that
    can't be used.
    """
    return Settings(**_values(Settings, given, command))


def resolve_serving(**given: Unpack[ServingOptions]) -> Serving:
    """The page's settings in force; an argument that is None or empty falls back as in `resolve`.

    `SettingsError` for a user without a password, and for a host that others reach without one.
    """
    found = Serving(**_values(Serving, given))
    if bool(found.user) != bool(found.password):
        raise SettingsError(
            "The page needs both a user and a password, or neither: RAG_USER and RAG_PASSWORD."
        )
    if ":" in found.host:
        raise SettingsError(f"The host is {found.host}; name one, or give its IPv4 address.")
    if not found.user and not _is_loopback(found.host):
        raise SettingsError(
            f"Others reach the page at {found.host}: set RAG_USER and RAG_PASSWORD, or leave the host out."
        )
    return found


def resolve_page(**given: Unpack[PageOptions]) -> tuple[Settings, Serving]:
    """What `rag serve` needs: `resolve` and `resolve_serving`, each with its own of these arguments."""
    of_answers: dict[str, Any] = dict(given)
    of_page = {one.name: of_answers.pop(one.name, None) for one in declarations(Serving)}
    return resolve(**of_answers), resolve_serving(**of_page)


def resolve_secrets() -> Secrets:
    """What the environment has of `Secrets`, "" for what it lacks."""
    return Secrets(**_values(Secrets, {}))


def _values(declared: type, given: Mapping[str, Any], command: str | None = None) -> dict[str, Any]:
    taken = [one.name for one in declarations(declared) if command is None or command in one.commands]
    for name in given:
        if name not in taken:
            raise TypeError(f"{name} is not a setting here. There are: {', '.join(taken)}")
    # An empty variable of the page or of the secrets counts as unset: container files often have such lines.
    unset = (None,) if declared is Settings else (None, "")
    values = {}
    for one in declarations(declared):
        source, value = f"The setting {one.name}", given.get(one.name)
        if value in unset:
            source, value = one.variable, os.environ.get(one.variable)
        text = one.default if value in unset else _as_text(value)
        if "\0" in text:
            raise SettingsError(f"The setting {one.name} has a NUL character.")
        if not text and declared is Settings:
            raise SettingsError(f"The setting {one.name} is empty. Give it a value, or unset {one.variable}.")
        if one.choices and text not in one.choices:
            raise SettingsError(f"{source} is {text}. It is one of: {', '.join(one.choices)}.")
        values[one.name] = one.read(source, text) if one.read else text
    return values


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


DEFAULTS = {one.name: one.default for one in declarations(Settings)}
