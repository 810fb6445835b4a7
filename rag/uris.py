"""Addresses of servers: of an index in Milvus, of a language model."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from rag.errors import SettingsError

MILVUS_PORT = 19_530
_MILVUS = ("milvus", "milvus+tls")
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """An index in Milvus: the address of the server, or the file of an in-process one, and the collection.

    `certificate` is the file of the authority that signed the server's, "" for those that the system knows.
    """

    server: str
    collection: str
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    certificate: str = ""

    @property
    def in_process(self) -> bool:
        """Whether it is a file, which milvus-lite reads in this process."""
        return self.server.endswith(".db")

    def __str__(self) -> str:
        """The address as it is written, without user and password."""
        return f"{_MILVUS[self.tls]}://{self.server}/{self.collection}"


Place: TypeAlias = Path | MilvusAddress
"""Where an index is: a folder, or a collection in Milvus."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A language model of this name behind one or more servers, each the root of an OpenAI-compatible API."""

    name: str
    urls: tuple[str, ...]
    key: str = field(default="", repr=False)


def is_served(text: str) -> bool:
    """Whether the text is meant as a model that servers have."""
    return text.startswith("openai:")


def served_model(text: str, key: str = "") -> ServedModel:
    """`openai:NAME@URL[,URL…]`, asked with the key, if there is one. `SettingsError` for anything else."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError("RAG_MODEL_KEY has characters that no key has. Set it again.")
    name, at, rest = text.removeprefix("openai:").partition("@http")
    urls = []
    for url in f"http{rest}".split(",") if at else ():
        try:
            parts = urlsplit(url.strip())
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.query or parts.fragment or "@" in parts.netloc:
            break
        path = parts.path.rstrip("/")
        urls.append(f"{parts.scheme}://{parts.netloc}{path or '/v1'}")
    if not name or not at or len(urls) != rest.count(",") + 1:
        raise SettingsError(
            "The setting model begins with openai:, but a model on servers is written "
            "openai:NAME@http://host:port, with commas between several; a key stands in RAG_MODEL_KEY."
        )
    return ServedModel(name, tuple(dict.fromkeys(urls)), key)


def is_milvus(text: str) -> bool:
    """Whether the text is meant as the address of an index in Milvus."""
    return text.partition("://")[0] in _MILVUS and "://" in text


def milvus_address(text: str, *, user: str = "", password: str = "", certificate: str = "") -> MilvusAddress:
    """`milvus://host:port/collection`, `milvus+tls://…`, or `milvus:///folder/file.db/collection`.

    `user` and `password` are used unless they stand before the host; `certificate` is the file of the
    authority's. `SettingsError` for anything else.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _no_address(text) from error
    before, _, collection = parts.path.rpartition("/")
    if not _COLLECTION.fullmatch(collection) or parts.query or parts.fragment:
        raise _no_address(text)
    if not parts.netloc:
        if not before.endswith(".db") or parts.scheme != "milvus":
            raise _no_address(text)
        return MilvusAddress(unquote(before), collection)
    if before or not parts.hostname:
        raise _no_address(text)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or password)
    return MilvusAddress(
        server=f"{host}:{port or MILVUS_PORT}",
        collection=collection,
        tls=parts.scheme == "milvus+tls",
        user=user,
        password=password,
        certificate=certificate,
    )


def _no_address(text: str) -> SettingsError:
    # Not repeated: a password in it may not be where it is looked for.
    return SettingsError(
        f"The setting index begins with {text.partition('://')[0]}://, but isn't the address of an index in "
        "Milvus, which is written milvus://host:port/collection, the collection in letters, digits and _; in "
        "a user or password / @ # are %2F %40 %23."
    )
