"""The collections of an index in Milvus: which is in force, what its metadata says, who builds it.

An index of the name `articles` is an alias of a collection `articles_rag_1a2b3c4d` of chunks. Beside it
`articles_rag_1a2b3c4d_documents` has the documents' texts, a row with the index's metadata, and a row for
each build at work. A rebuild creates another pair and then points the alias to it.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from rag.errors import IndexFileError
from rag.index.base import REBUILD
from rag.index.milvus.client import ANSWER_S, BUILD_S, all_rows, create, described, query
from rag.index.milvus.rows import (
    BUILDER,
    CHUNK_KINDS,
    META,
    NO_VECTOR,
    PART_KINDS,
    builder_row,
    key,
    meta_row,
)
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

SCHEMA = "1"
KEYWORD_SINCE = (2, 5)
"""The release of the server that brought BM25."""

GRACE_S = 5.0
"""How long after a rebuild the collection before still answers the questions that began before."""

LEASE_S = 120.0
"""A build that has not renewed its row for so long counts as ended."""

NONE = "none"
"""The generation of an index that no build has finished."""


def collection_of(client: Any, address: MilvusAddress) -> str | None:
    """The collection that the index's name is an alias of; None if there is none."""
    collection = described(client, address.collection)
    if collection is None:
        return None
    name = str(collection["collection_name"])
    if not _is_of(address, name):
        raise IndexFileError(
            f"{address} is a collection of another program's. Name another: --index milvus://host/collection"
        )
    return name


def _is_of(address: MilvusAddress, name: str) -> bool:
    return re.fullmatch(re.escape(address.collection) + "_rag_[0-9a-f]{8}", name) is not None


def documents_of(chunks: str) -> str:
    """The name of the collection of the documents of these chunks."""
    return f"{chunks}_documents"


def meta_of(client: Any, chunks: str) -> dict[str, Any]:
    """The metadata of the index; `IndexFileError` if it is lost, or of another version of this program."""
    rows = query(client, documents_of(chunks), f"id == {META}", ["text"])
    if not rows:
        raise IndexFileError(f"The collection {chunks} lacks its metadata. {REBUILD}")
    meta: dict[str, Any] = json.loads(rows[0]["text"])
    if meta.get("schema") != SCHEMA:
        raise IndexFileError(
            f"The collection {chunks} has schema {meta.get('schema')}; this version reads schema {SCHEMA}. "
            f"{REBUILD}"
        )
    return meta


def put_meta(client: Any, chunks: str, meta: Mapping[str, Any]) -> None:
    """Set the metadata of the index."""
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
    """The collections of chunks that were created for this index, each with one of its documents."""
    named = [name for name in client.list_collections(timeout=ANSWER_S) if _is_of(address, name)]
    return [name for name in sorted(named) if _has_documents(client, name)]


def _has_documents(client: Any, chunks: str) -> bool:
    """Whether there is a collection of their documents: another program's has other fields."""
    collection = described(client, documents_of(chunks))
    return collection is not None and {"part", "whole"} <= {field["name"] for field in collection["fields"]}


def _ready(client: Any, address: MilvusAddress) -> Iterator[str]:
    """Those of `own` whose documents can be queried: not if their creation was interrupted."""
    for name in own(client, address):
        if client.list_indexes(documents_of(name), timeout=ANSWER_S):
            load(client, documents_of(name))
            yield name


def begun(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
    """A collection that a build has begun and never finished, if one fits, else a new one."""
    for name in _ready(client, address):
        with contextlib.suppress(IndexFileError):
            meta = meta_of(client, name)
            fits = EmbedderIdentity(**meta["embedder"]) == identity and meta["keyword"] == keyword
            if fits and meta["generation"] == NONE:
                return name
    return _created(client, address, identity, keyword)


def load(client: Any, *names: str) -> None:
    """Load these collections into the server's memory: milvus-lite doesn't, in another process."""
    for name in names:
        client.load_collection(name, timeout=BUILD_S)


def _created(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
    """A new empty collection with one of its documents; its name."""
    chunks = f"{address.collection}_rag_{secrets.token_hex(4)}"
    fields = CHUNK_KINDS | ({"stems": "stems"} if keyword else {})
    with ThreadPoolExecutor(2) as pool:  # each waits some seconds for the server
        waiting = [
            pool.submit(create, client, chunks, fields, identity.dimension, graph=True),
            # A collection must have vectors; these are never searched.
            pool.submit(create, client, documents_of(chunks), PART_KINDS, len(NO_VECTOR), graph=False),
        ]
        for one in waiting:
            one.result()
    meta = {"schema": SCHEMA, "embedder": asdict(identity), "keyword": keyword, "generation": NONE}
    put_meta(client, chunks, meta)
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


def unindexed(client: Any, chunks: str) -> int:
    """The number of rows that the server's index over the vectors lacks yet."""
    return int(client.describe_index(chunks, "vector", timeout=ANSWER_S).get("pending_index_rows", 0))


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to build an index: a row of this token in the collection `documents`.

    A build puts its row in and then looks for others': of two that begin at once, at least one sees the
    other, and gives way.
    """

    address: MilvusAddress
    documents: str
    token: str

    def take(self, client: Any) -> None:
        """Take it; `IndexFileError`, naming the other, while another build is at work.

        To be given back even then.
        """
        self._put(client)
        for name in _ready(client, self.address):
            self._look(client, documents_of(name))

    def _look(self, client: Any, documents: str) -> None:
        """`IndexFileError` if another build is at work there; the row of one that has ended is deleted."""
        for number, builder in _builders(client, documents).items():
            if number == key(self.token):
                continue
            if time.time() - builder["seen"] < LEASE_S:
                raise IndexFileError(
                    f"{self.address} is being built by {builder['who']}. Wait for it; one that was killed "
                    f"no longer counts after {LEASE_S:g} s."
                )
            client.delete(documents, ids=[number], timeout=ANSWER_S)

    def renew(self, client: Any) -> None:
        """Say that the build is still at work; `IndexFileError` if another one has taken over."""
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
    """The builds at work, by the id of their rows."""
    rows = query(client, documents, f"part == {BUILDER}", ["id", "text"], seen="Strong")
    return {row["id"]: json.loads(row["text"]) for row in rows}


def whole_documents(client: Any, documents: str) -> list[dict[str, Any]]:
    """What is known of each completely indexed document."""
    fields = ["source", "sha256", "title", "date", "characters"]
    return all_rows(client, documents, "part == 0 and whole == true", fields)
