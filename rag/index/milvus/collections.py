"""The collections of an index in Milvus: which is in force, what is said of it, who builds it.

An index of the name `articles` is an alias of a collection `articles_rag_1a2b3c4d` of chunks, beside which
`articles_rag_1a2b3c4d_documents` has the documents' texts, a row that says what the index is, and one for
each build at work. A rebuild makes others and then points the alias to them.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from rag.errors import IndexFileError
from rag.index.base import REBUILD
from rag.index.milvus.client import (
    ANSWER_S,
    BUILD_S,
    all_rows,
    create,
    described,
    query,
)
from rag.index.milvus.rows import BUILDER, META, NO_VECTOR, builder_row, key, meta_row
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

SCHEMA = "1"
KEYWORD_SINCE = (2, 5)
"""The release of the server that brought BM25."""

GRACE_S = 5.0
"""Questions that began before a rebuild ended are answered from the collection before for so long."""

LEASE_S = 120.0
"""A build that hasn't said for so long that it goes on has ended, though it didn't say so."""

NONE = "none"
"""The generation of an index that no build has finished."""


def collection_of(client: Any, address: MilvusAddress) -> str | None:
    """The collection that the index's name is an alias of; None if it is none."""
    found = described(client, address.collection)
    if found is None:
        return None
    name = str(found["collection_name"])
    if not _is_of(address, name):
        raise IndexFileError(
            f"{address} is a collection of another program's. Name another: --index milvus://host/collection"
        )
    return name


def _is_of(address: MilvusAddress, name: str) -> bool:
    return re.fullmatch(re.escape(address.collection) + "_rag_[0-9a-f]{8}", name) is not None


def documents_of(chunks: str) -> str:
    """The collection of the documents of these chunks."""
    return f"{chunks}_documents"


def meta_of(client: Any, chunks: str) -> dict[str, Any]:
    """What is said of the index; `IndexFileError` if that is lost, or of another version of this program."""
    rows = query(client, documents_of(chunks), f"id == {META}", ["text"])
    if not rows:
        raise IndexFileError(f"The collection {chunks} lacks what says how it was built. {REBUILD}")
    meta: dict[str, Any] = json.loads(rows[0]["text"])
    if meta.get("schema") != SCHEMA:
        raise IndexFileError(
            f"The collection {chunks} has schema {meta.get('schema')}; this version reads schema {SCHEMA}. "
            f"{REBUILD}"
        )
    return meta


def put_meta(client: Any, chunks: str, meta: Mapping[str, Any]) -> None:
    """Say this of the index."""
    client.upsert(documents_of(chunks), [meta_row(meta)], timeout=BUILD_S)


def require_keyword(client: Any, address: MilvusAddress) -> None:
    """`IndexFileError` for a server that can't search by words."""
    version = str(client.get_server_version(timeout=ANSWER_S))
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers is not None and tuple(map(int, numbers.groups())) < KEYWORD_SINCE:
        raise IndexFileError(
            f"The Milvus server at {address.server} is {version}; search by words needs 2.5 or later. Use a "
            "newer one, or search by meaning alone: --retrieval dense"
        )


def own(client: Any, address: MilvusAddress) -> list[str]:
    """The collections of chunks that were made for this index, each with one of its documents."""
    named = [name for name in client.list_collections(timeout=ANSWER_S) if _is_of(address, name)]
    return [name for name in sorted(named) if _has_documents(client, name)]


def _has_documents(client: Any, chunks: str) -> bool:
    """Whether there is a collection of their documents: another program's has other fields."""
    found = described(client, documents_of(chunks))
    return found is not None and {"part", "whole"} <= {field["name"] for field in found["fields"]}


def is_ready(client: Any, chunks: str) -> bool:
    """Whether the collection of their documents can be asked: not where its creation broke off."""
    return bool(client.list_indexes(documents_of(chunks), timeout=ANSWER_S))


def begun(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
    """A collection that a build has begun and never finished, if one fits, else a new one."""
    for name in own(client, address):
        with contextlib.suppress(IndexFileError):
            if not is_ready(client, name):
                continue
            load(client, documents_of(name))
            meta = meta_of(client, name)
            fits = EmbedderIdentity(**meta["embedder"]) == identity and meta["keyword"] == keyword
            if fits and meta["generation"] == NONE:
                return name
    return _made(client, address, identity, keyword)


def load(client: Any, *names: str) -> None:
    """Have these collections in the server's memory: milvus-lite hasn't, in another process."""
    for name in names:
        client.load_collection(name, timeout=BUILD_S)


def _made(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
    """An empty collection and that of its documents; its name."""
    chunks = f"{address.collection}_rag_{secrets.token_hex(4)}"
    of_document = {"document": "number", "name": "number", "source": "text", "date": "text"}
    fields = of_document | {"start": "number", "end": "number", "text": "text", "spans": "text"}
    fields |= {"sentence_vectors": "text", "stems": "stems" if keyword else "text"}
    parts = of_document | {"part": "number", "chunks": "number", "characters": "number", "sha256": "text"}
    parts |= {"title": "text", "pages": "text", "text": "text", "whole": "flag"}
    with ThreadPoolExecutor(2) as both:  # each waits some seconds for the server
        waiting = [
            both.submit(create, client, chunks, fields, identity.dimension, graph=True),
            # A collection must have vectors; these are never searched.
            both.submit(create, client, documents_of(chunks), parts, len(NO_VECTOR), graph=False),
        ]
        for one in waiting:
            one.result()
    put_meta(
        client,
        chunks,
        {"schema": SCHEMA, "embedder": asdict(identity), "keyword": keyword, "generation": NONE},
    )
    return chunks


def put_in_force(client: Any, address: MilvusAddress, chunks: str) -> None:
    """Point the index's name to the collection."""
    if collection_of(client, address) is None:
        client.create_alias(chunks, address.collection, timeout=BUILD_S)
    else:
        client.alter_alias(chunks, address.collection, timeout=BUILD_S)
        time.sleep(GRACE_S)


def drop(client: Any, names: Iterable[str]) -> None:
    """Drop these collections of chunks, and those of their documents."""
    for name in names:
        client.drop_collection(name, timeout=BUILD_S)
        client.drop_collection(documents_of(name), timeout=BUILD_S)


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to build an index: a row of this token in the collection `documents`.

    A build puts its row in and then looks for others': of two that begin at once, one sees the other at
    least, and gives way.
    """

    address: MilvusAddress
    documents: str
    token: str

    def take(self, client: Any) -> None:
        """Take it; `IndexFileError` while another build is at work, which is told of.

        To be given back even so.
        """
        self._put(client)
        for name in own(client, self.address):
            if is_ready(client, name):
                self._look(client, documents_of(name))

    def _look(self, client: Any, documents: str) -> None:
        """`IndexFileError` if another build is at work there; one that has ended is forgotten."""
        load(client, documents)
        for number, builder in _builders(client, documents).items():
            if number == key(self.token):
                continue
            if time.time() - builder["seen"] < LEASE_S:
                raise IndexFileError(
                    f"{self.address} is being built by {builder['who']}. Wait for it; one that was "
                    f"killed is forgotten after {LEASE_S:g} s."
                )
            client.delete(documents, ids=[number], timeout=ANSWER_S)

    def renew(self, client: Any) -> None:
        """Say that the build goes on; `IndexFileError` if another one has taken over."""
        self.require(client)
        self._put(client)

    def require(self, client: Any) -> None:
        """`IndexFileError` if another build has taken over."""
        builders = _builders(client, self.documents)
        if key(self.token) not in builders:
            who = next((builder["who"] for builder in builders.values()), "another process")
            raise IndexFileError(
                f"{self.address} is being built by {who}, which took this build for dead. Build it again "
                "when that has ended: rag build"
            )

    def give_back(self, client: Any) -> None:
        """Say that the build has ended."""
        client.delete(self.documents, ids=[key(self.token)], timeout=ANSWER_S)

    def _put(self, client: Any) -> None:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        row = builder_row(self.token, {"who": who, "seen": time.time()})
        client.upsert(self.documents, [row], timeout=ANSWER_S)


def _builders(client: Any, documents: str) -> dict[int, dict[str, Any]]:
    """Who builds now, by the id of the row that says so."""
    rows = query(client, documents, f"part == {BUILDER}", ["id", "text"], seen="Strong")
    return {row["id"]: json.loads(row["text"]) for row in rows}


def whole_documents(client: Any, documents: str) -> list[dict[str, Any]]:
    """What is known of each document that is wholly there."""
    fields = ["source", "sha256", "title", "date", "characters"]
    return all_rows(client, documents, "part == 0 and whole == true", fields)
