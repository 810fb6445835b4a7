"""The collections of an index in Milvus: which is in force, what is said of it, who builds it.

An index of the name `articles` is an alias of a collection `articles_rag_1a2b3c4d` of chunks, beside which
`articles_rag_1a2b3c4d_documents` has the documents' texts, and a row that says what the index is, and who
builds it. A rebuild makes others and then points the alias to them.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from rag.addresses import MilvusAddress
from rag.errors import IndexFileError
from rag.milvus.rows import META, NO_VECTOR, meta_row
from rag.milvus.server import ANSWER_S, BUILD_S, all_rows, connected, create, described, query, translated
from rag.tables import REBUILD
from rag.types import EmbedderIdentity

SCHEMA = "1"
KEYWORD_SINCE = (2, 5)
"""The release of the server that brought BM25."""

GRACE_S = 5.0
"""Questions that began before a rebuild ended are answered from the collection before for so long."""

LEASE_S = 120.0
"""A build that hasn't written for so long has ended, though it didn't say so."""

NONE = "none"
"""The generation of an index that no build has finished."""


def exists(address: MilvusAddress) -> bool:
    """Whether there is an index at the address; `IndexFileError` if that can't be told."""
    with contextlib.closing(connected(address)) as client, translated(address):
        return collection_of(client, address) is not None


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
    return f"{chunks}documents_of"


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


def require_keyword(client: Any, address: MilvusAddress) -> None:
    """`IndexFileError` for a server that can't search by words."""
    version = str(client.get_server_version(timeout=ANSWER_S))
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers is not None and tuple(map(int, numbers.groups())) < KEYWORD_SINCE:
        raise IndexFileError(
            f"The Milvus server at {address.server} is {version}; search by words needs 2.5 or later. Use a "
            "newer one, or search by meaning alone: --retrieval dense"
        )


def unfinished(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str | None:
    """A collection that a build has begun and never finished, if it fits and no build is at work on it."""
    for name, meta in own(client, address).items():
        fits = EmbedderIdentity(**meta["embedder"]) == identity and meta["keyword"] == keyword
        if fits and meta["generation"] == NONE and not is_held(meta):
            return name
    return None


def own(client: Any, address: MilvusAddress) -> dict[str, dict[str, Any]]:
    """The collections of chunks that were made for this index, with what is said of them."""
    names = {*client.list_collections(timeout=ANSWER_S)}
    found = {}
    for name in sorted(names):
        if _is_of(address, name) and documents_of(name) in names:
            load(client, name)
            with contextlib.suppress(IndexFileError, ValueError):
                found[name] = meta_of(client, name)
    return found


def load(client: Any, chunks: str) -> None:
    """Have them in the server's memory: milvus-lite hasn't, in another process."""
    for name in (chunks, documents_of(chunks)):
        client.load_collection(name, timeout=BUILD_S)


def made(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
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
    meta = {"schema": SCHEMA, "embedder": asdict(identity), "keyword": keyword, "generation": NONE}
    client.upsert(documents_of(chunks), [meta_row(meta)], timeout=BUILD_S)
    return chunks


def put_in_force(client: Any, address: MilvusAddress, chunks: str) -> None:
    """Point the index's name to the collection, and drop the others that it had."""
    if collection_of(client, address) is None:
        client.create_alias(chunks, address.collection, timeout=BUILD_S)
    else:
        client.alter_alias(chunks, address.collection, timeout=BUILD_S)
        time.sleep(GRACE_S)
    for name, meta in own(client, address).items():
        if name != chunks and not is_held(meta):
            client.drop_collection(name, timeout=BUILD_S)
            client.drop_collection(documents_of(name), timeout=BUILD_S)


def hold(client: Any, address: MilvusAddress, chunks: str, token: str, *, new: bool = False) -> None:
    """Say who builds, and that it goes on; `IndexFileError` if another build has taken over."""
    meta = meta_of(client, chunks)
    builder = meta.get("builder") or {}
    if not new and builder.get("token") != token:
        require_free(address, meta)
    who = {"token": token, "who": f"process {os.getpid()} on {socket.gethostname()}", "seen": time.time()}
    client.upsert(documents_of(chunks), [meta_row(meta | {"builder": who})], timeout=BUILD_S)


def release(client: Any, chunks: str, token: str) -> None:
    """Say that the build of this token has ended."""
    meta = meta_of(client, chunks)
    if (meta.get("builder") or {}).get("token") == token:
        client.upsert(documents_of(chunks), [meta_row(meta | {"builder": None})], timeout=BUILD_S)


def require_free(address: MilvusAddress, meta: Mapping[str, Any]) -> None:
    """`IndexFileError` while a build is at work."""
    if is_held(meta):
        raise IndexFileError(
            f"{address} is being built by {meta['builder']['who']}. Wait for it; one that was killed is "
            f"forgotten after {LEASE_S:g} s."
        )


def is_held(meta: Mapping[str, Any]) -> bool:
    """Whether a build is at work."""
    builder = meta.get("builder")
    return builder is not None and time.time() - builder["seen"] < LEASE_S


def whole_documents(client: Any, documents: str) -> list[dict[str, Any]]:
    """What is known of each document that is wholly there."""
    fields = ["source", "sha256", "title", "date", "characters"]
    return all_rows(client, documents, "part == 0 and whole == true", fields)
