"""Documents and vectors → a store: what the one build that may write does to it (`rag.index.disk.store`)."""

import contextlib
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rag.index.codec import (
    EmbeddedText,
    key_of,
    pack_blocks,
    pack_numbers,
    pack_stems,
    pack_vectors,
    term_counts,
    text_hash,
)
from rag.index.disk.integrity import repair
from rag.index.disk.schema import CHUNK_TEXTS
from rag.index.disk.snapshot import Snapshot
from rag.text.chunking import embedded_text
from rag.text.near_duplicates import NEAR, Hashes, bands, min_hashes, shingles
from rag.types import Chunk, Document

_COMPARED = 50
"""How many documents a new one is compared with: those that share most bands with it."""


class StoreWriter:
    """The one build that may change an index (see `rag.index.disk.store.writing`)."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Write through `connection`, which is in autocommit mode."""
        self._connection = connection
        self._folder = folder
        # Whether an interrupted build left vectors of no chunk, and the texts of chunks removed by this one.
        (spares,) = connection.execute("SELECT value FROM meta WHERE key = 'spares'").fetchone() or ("1",)
        self._spares = spares != "0"
        self._freed: set[bytes] = set()
        self._terms: Counter[str] = Counter()

    def snapshot(self) -> Snapshot:
        """The state as this writer sees it."""
        return Snapshot(self._connection, self._folder)

    def lacks(self, key: bytes) -> bool:
        """Whether the text with this hash is still to be embedded."""
        row = self._connection.execute("SELECT 1 FROM texts WHERE text_hash = ?", (key,)).fetchone()
        return row is None

    def keep(self, texts: Iterable[EmbeddedText]) -> None:
        """Commit the texts with their vectors."""
        with self._transaction():
            self._set_meta("spares", "1")
            self._connection.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        text_hash(embedded.text, embedded.sentences),
                        pack_vectors(embedded.sentence_vectors),
                        pack_stems(embedded.text, embedded.sentences),
                        pack_numbers(embedded.sentences),
                        embedded.text,
                        embedded.vector.astype(np.float32).tobytes(),
                    )
                    for embedded in texts
                ),
            )

    @contextlib.contextmanager
    def swap(
        self, removed: Iterable[str], added: Iterable[tuple[Document, Sequence[Chunk]]]
    ) -> Iterator[Snapshot]:
        """Replace documents at once: the body sees the new state, others only after it ends without error."""
        with self._new_state():
            for source in removed:
                self._remove(source)
            for document, pieces in added:
                self._add(document, pieces)
            self._count_terms()
            self._drop_spares()
            yield self.snapshot()

    def take_vectors(self) -> None:
        """Name the FAISS file after the state that is being written, which it will have the chunks of."""
        self._set_meta("vectors", self.snapshot().generation)
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
        self._set_meta("vectors_last", str(last))
        self._connection.execute("DELETE FROM gone")

    @contextlib.contextmanager
    def repaired(self) -> Iterator[None]:
        """Repair what the store can repair from its own tables, at once, as in `swap`."""
        with self._new_state():
            repair(self.snapshot())
            self._set_meta("spares", "1")  # the vectors of the documents that it removes
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def _new_state(self) -> Iterator[None]:
        with self._transaction():
            self._set_meta("generation", uuid.uuid4().hex[:12])
            yield

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))

    def _count_terms(self) -> None:
        """Bring the table of terms in step with the chunks that came and went."""
        changes = [(term, change) for term, change in self._terms.items() if change]
        self._connection.executemany(
            "INSERT INTO terms VALUES (?, ?) "
            "ON CONFLICT (term) DO UPDATE SET chunks = chunks + excluded.chunks",
            changes,
        )
        rarer = [(term,) for term, change in changes if change < 0]
        self._connection.executemany("DELETE FROM terms WHERE term = ? AND chunks = 0", rarer)
        self._terms.clear()

    def _drop_spares(self) -> None:
        """Remove the vectors of no chunk: all after an interrupted build, else those just freed."""
        unused = "text_hash NOT IN (SELECT text_hash FROM chunks)"
        if self._spares:
            self._connection.execute(f"DELETE FROM texts WHERE {unused}")
        else:
            self._connection.executemany(
                f"DELETE FROM texts WHERE text_hash = ? AND {unused}", [(key,) for key in self._freed]
            )
        self._set_meta("spares", "0")

    def _remove(self, source: str) -> None:
        id_of = self._connection.execute("SELECT id FROM documents WHERE source = ?", (source,)).fetchone()
        texts = self._connection.execute(
            f"SELECT text_hash, text FROM {CHUNK_TEXTS} WHERE document = ?", id_of
        ).fetchall()
        self._freed.update(key for key, _ in texts)
        self._terms.subtract(term_counts(text for _, text in texts))
        for sql in (
            "INSERT INTO gone SELECT id FROM chunks WHERE document = ? "
            "AND id <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'vectors_last')",
            "INSERT INTO keywords (keywords, rowid, text) "
            f"SELECT 'delete', chunks.id, texts.text FROM {CHUNK_TEXTS} WHERE document = ?",
            "DELETE FROM chunks WHERE document = ?",
            "DELETE FROM bands WHERE document = ?",
            "DELETE FROM documents WHERE id = ?",
        ):
            self._connection.execute(sql, id_of)

    def _add(self, document: Document, pieces: Sequence[Chunk]) -> None:
        hashes = min_hashes(shingles(document.text))
        keys = bands(hashes)
        row = {
            "source": document.source,
            "sha256": document.sha256,
            "story": 0,
            "title": document.title,
            "date": document.date,
            "characters": len(document.text),
            "hashes": hashes.tobytes(),
            "pages": pack_numbers(document.pages),
            "blocks": pack_blocks(document.blocks),
            "text": document.text,
        }
        marks = ", ".join("?" * len(row))
        number = self._connection.execute(
            f"INSERT INTO documents ({', '.join(row)}) VALUES ({marks})", [*row.values()]
        ).lastrowid
        story = self._story(hashes, keys) or number
        self._connection.execute("UPDATE documents SET story = ? WHERE id = ?", (story, number))
        self._connection.executemany("INSERT INTO bands VALUES (?, ?)", [(key, number) for key in {*keys}])
        self._terms.update(term_counts(map(embedded_text, pieces)))
        for chunk in pieces:
            inserted = self._connection.execute(
                'INSERT INTO chunks (document, "start", "end", text_hash) VALUES (?, ?, ?, ?)',
                (number, chunk.start, chunk.end, key_of(chunk)),
            )
            self._connection.execute(
                "INSERT INTO keywords (rowid, text) VALUES (?, ?)", (inserted.lastrowid, embedded_text(chunk))
            )

    def _story(self, hashes: Hashes, keys: Sequence[int]) -> int | None:
        """The group (`story`) of a document that is a near-duplicate of the one with these hashes."""
        candidates = self._connection.execute(
            "SELECT hashes, story FROM (SELECT document, count(*) AS shared FROM bands "
            "WHERE band IN (SELECT value FROM json_each(?)) GROUP BY document "
            "ORDER BY shared DESC, document LIMIT ?) JOIN documents ON id = document",
            (json.dumps(keys), _COMPARED),
        )
        for of_candidate, story in candidates:
            if float(np.mean(np.frombuffer(of_candidate, dtype=np.uint32) == hashes)) >= NEAR:
                return int(story)
        return None
