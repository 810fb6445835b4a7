"""Documents and vectors → a store: what the one build that may write does to it (see `rag.store`)."""

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rag.copies import NEAR, Hashes, bands, min_hashes, shingles
from rag.integrity import mend
from rag.snapshot import Snapshot
from rag.tables import EmbeddedText, pack_numbers, pack_vectors, text_hash
from rag.types import Chunk, Document

_COMPARED = 50
"""With so many documents a new one is compared, those that share most bands with it."""


class Writer:
    """The one build that may change an index (see `writing`)."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Write through `connection`, which is in autocommit mode."""
        self._connection = connection
        self._folder = folder

    def snapshot(self) -> Snapshot:
        """The state as this writer sees it."""
        return Snapshot(self._connection, self._folder)

    def lacks(self, key: bytes) -> bool:
        """Whether the text with this hash is still to be embedded."""
        found = self._connection.execute("SELECT 1 FROM texts WHERE text_hash = ?", (key,)).fetchone()
        return found is None

    def keep(self, texts: Iterable[EmbeddedText]) -> None:
        """Keep the texts with their vectors, for good."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)",
                (
                    (
                        text_hash(embedded.text),
                        embedded.text,
                        embedded.vector.astype(np.float32).tobytes(),
                        pack_numbers(embedded.sentences),
                        pack_vectors(embedded.sentence_vectors),
                    )
                    for embedded in texts
                ),
            )

    @contextlib.contextmanager
    def swap(
        self, removed: Iterable[str], added: Iterable[tuple[Document, Sequence[Chunk]]]
    ) -> Iterator[Snapshot]:
        """Replace documents at once: the body sees the new state, others only after it ends well."""
        with self._new_state():
            for source in removed:
                self._remove(source)
            for document, pieces in added:
                self._add(document, pieces)
            self._connection.execute(
                "DELETE FROM texts WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
            )
            yield self.snapshot()

    @contextlib.contextmanager
    def mended(self) -> Iterator[Snapshot]:
        """Mend what can be mended from the store itself, at once, as in `swap` (see `rag.integrity`)."""
        with self._new_state():
            mend(self._connection, self.snapshot().identity.dimension)
            yield self.snapshot()

    @contextlib.contextmanager
    def _new_state(self) -> Iterator[None]:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (uuid.uuid4().hex[:12],)
            )
            yield

    def _remove(self, source: str) -> None:
        self._connection.execute(
            "INSERT INTO keywords (keywords, rowid, text) "
            "SELECT 'delete', chunks.id, texts.text FROM chunks JOIN texts USING (text_hash) "
            "JOIN documents ON documents.id = document WHERE source = ?",
            (source,),
        )
        self._connection.execute(
            "DELETE FROM chunks WHERE document = (SELECT id FROM documents WHERE source = ?)", (source,)
        )
        self._connection.execute(
            "DELETE FROM bands WHERE document = (SELECT id FROM documents WHERE source = ?)", (source,)
        )
        self._connection.execute("DELETE FROM documents WHERE source = ?", (source,))

    def _add(self, document: Document, pieces: Sequence[Chunk]) -> None:
        hashes = min_hashes(shingles(document.text))
        keys = bands(hashes)
        number = self._connection.execute(
            "INSERT INTO documents (source, sha256, text, title, date, pages, story, hashes) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
            (
                document.source,
                document.sha256,
                document.text,
                document.title,
                document.date,
                pack_numbers(document.pages),
                hashes.tobytes(),
            ),
        ).lastrowid
        story = self._story(hashes, keys) or number
        self._connection.execute("UPDATE documents SET story = ? WHERE id = ?", (story, number))
        self._connection.executemany("INSERT INTO bands VALUES (?, ?)", [(key, number) for key in {*keys}])
        for chunk in pieces:
            row = self._connection.execute(
                'INSERT INTO chunks (document, "start", "end", text_hash) VALUES (?, ?, ?, ?)',
                (number, chunk.start, chunk.end, text_hash(chunk.text)),
            )
            self._connection.execute(
                "INSERT INTO keywords (rowid, text) VALUES (?, ?)", (row.lastrowid, chunk.text)
            )

    def _story(self, hashes: Hashes, keys: Sequence[int]) -> int | None:
        """The story that a document tells already which is near to these hashes."""
        tellers = self._connection.execute(
            "SELECT hashes, story FROM (SELECT document, count(*) AS shared FROM bands "
            "WHERE band IN (SELECT value FROM json_each(?)) GROUP BY document "
            "ORDER BY shared DESC, document LIMIT ?) JOIN documents ON id = document",
            (json.dumps(keys), _COMPARED),
        )
        return next(
            (
                story
                for found, story in tellers
                if float(np.mean(np.frombuffer(found, dtype=np.uint32) == hashes)) >= NEAR
            ),
            None,
        )
