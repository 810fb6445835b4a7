"""Documents, chunks and vectors ↔ the rows of an index in Milvus (see `rag.index.milvus`).

A row has numbers, and texts of at most 65,535 bytes: bytes are kept as base64, a long text in parts.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from rag.index.base import About, EmbeddedDocument, StoredChunk, stored_chunk
from rag.index.codec import (
    EmbeddedText,
    Vectors,
    key_of,
    pack_blocks,
    pack_numbers,
    pack_stems,
    pack_vectors,
    text_hash,
    unpack_blocks,
    unpack_numbers,
    unpack_spans,
)
from rag.types import Block

PART_CHARS = 16_000
"""Of four bytes each at most."""

META = 0
"""The id of the row that says what the index is."""

BUILDER = -2
"""The part of a row that says who builds the index."""

NO_VECTOR = [0.0, 1.0]
_FIELD_BYTES = 65_000
_OF_DOCUMENT = {"document": "number", "name": "number", "source": "text", "date": "text"}

CHUNK_KINDS = _OF_DOCUMENT | {"start": "number", "end": "number", "text": "text", "spans": "text"}
CHUNK_KINDS |= {"sentence_vectors": "text", "stems": "text"}
"""The kinds of a chunk's fields (see `rag.index.milvus.client.create`)."""

PART_KINDS = _OF_DOCUMENT | {"part": "number", "chunks": "number", "characters": "number", "sha256": "text"}
PART_KINDS |= {"title": "text", "pages": "text", "blocks": "text", "text": "text", "whole": "flag"}
"""The kinds of the fields of a part of a document."""

CHUNK_FIELDS = ["id", "vector", *CHUNK_KINDS]
PART_FIELDS = ["id", "vector", *PART_KINDS]
_EMPTY: dict[str, Any] = {"number": 0, "text": "", "flag": False}
_EMPTY_PART = {"vector": NO_VECTOR} | {field: _EMPTY[kind] for field, kind in PART_KINDS.items()}


def meta_row(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The row that says what the index is."""
    return _EMPTY_PART | {"id": META, "part": -1, "text": json.dumps(meta)}


def builder_row(token: str, who: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the build of this token."""
    return _EMPTY_PART | {"id": key(token), "part": BUILDER, "text": json.dumps(who)}


def document_rows(embedded: EmbeddedDocument) -> list[dict[str, Any]]:
    """The parts of a document; the first one says what is known of it."""
    document = embedded.document
    of_all = _of_document(embedded) | {"sha256": document.sha256}
    pages = _base64(pack_numbers(document.pages))
    blocks = pack_blocks(document.blocks)
    about = {
        "characters": len(document.text),
        "chunks": len(embedded.pieces),
        "title": (document.title or "").encode()[:_FIELD_BYTES].decode(errors="ignore"),
        "pages": _fitting(pages),
        "whole": True,
    }
    number = of_all["document"]
    rows = [
        _EMPTY_PART
        | of_all
        | {
            "id": key(number, part),
            "part": part,
            "text": document.text[first : first + PART_CHARS],
            "blocks": _fitting(_base64(pack_blocks(unpack_blocks(blocks, first, first + PART_CHARS)))),
        }
        for part, first in enumerate(range(0, max(len(document.text), 1), PART_CHARS))
    ]
    return [rows[0] | about, *rows[1:]]


def chunk_rows(embedded: EmbeddedDocument) -> list[dict[str, Any]]:
    """The chunks of a document."""
    of_all = _of_document(embedded)
    texts = {text_hash(text.text, text.sentences): text for text in embedded.texts}
    rows = []
    for chunk in embedded.pieces:
        text = texts[key_of(chunk)]
        rows.append(
            of_all
            | {
                "id": key(of_all["document"], chunk.start, chunk.end),
                "start": chunk.start,
                "end": chunk.end,
                "text": text.text,
                "vector": text.vector.astype(np.float32).tolist(),
                "spans": _base64(pack_numbers(text.sentences)),
                "sentence_vectors": _packed_vectors(text.sentence_vectors),
                "stems": pack_stems(text.text, text.sentences),
            }
        )
    return rows


def _of_document(embedded: EmbeddedDocument) -> dict[str, Any]:
    document = embedded.document
    return {
        "document": key(document.source, document.sha256),
        "name": key(document.source),
        "source": document.source,
        "date": document.date or "",
    }


def _fitting(packed: str) -> str:
    """The text; "" for more than a field can hold, so a document of too many pages goes without numbers."""
    return packed if len(packed) <= _FIELD_BYTES else ""


def _base64(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def _packed_vectors(vectors: Vectors) -> str:
    """As many as a field can hold, 125 of 384 dimensions; the others count as that of the whole chunk."""
    most = _FIELD_BYTES * 3 // 4 // max(vectors.shape[1], 1)
    return _base64(pack_vectors(vectors[:most]))


def embedded_text(row: Mapping[str, Any]) -> EmbeddedText | None:
    """What a row has of a text; None where sentence vectors are missing (see `_packed_vectors`)."""
    spans = unpack_spans(base64.b64decode(row["spans"]))
    vector = np.array(row["vector"], dtype=np.float32)
    packed = np.frombuffer(base64.b64decode(row["sentence_vectors"]), np.int8).reshape(-1, len(vector))
    if len(packed) != len(spans):
        return None
    # To pack them again gives the same bytes: the largest number of each is 127 already.
    return EmbeddedText(row["text"], vector, tuple(spans), packed.astype(np.float32))


def key(*of: object) -> int:
    """A number of 63 bits: of 10 million rows two are the same with a chance of 1 in 180,000."""
    digest = blake2b("\0".join(map(str, of)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


def chunk_of(row: Mapping[str, Any]) -> StoredChunk:
    """The chunk in a row, which has its vector too."""
    vector = np.array([row["vector"]], dtype=np.float32)
    spans = base64.b64decode(row["spans"])
    packed = base64.b64decode(row["sentence_vectors"])
    left_out = len(spans) // 8 - len(packed) // vector.shape[1]  # see `_packed_vectors`
    return stored_chunk(
        row["id"],
        row["document"],
        row["source"],
        (row["start"], row["end"]),
        row["text"],
        spans,
        packed + left_out * pack_vectors(vector),
        row["stems"],
        row["document"],
    )


def blocks_of(row: Mapping[str, Any], start: int, end: int) -> tuple[Block, ...]:
    """The blocks of a part with a character from `start` to `end`, after the headings above them."""
    return unpack_blocks(base64.b64decode(row["blocks"]), start, end) if row["blocks"] else ()


def about_of(row: Mapping[str, Any]) -> About:
    """What the first part of a document says of it."""
    pages = tuple(unpack_numbers(base64.b64decode(row["pages"])))
    return About(row["sha256"], row["title"] or None, row["date"] or None, pages)
