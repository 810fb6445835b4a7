"""Documents and vectors → a store: what the one build that may write does to it (`rag.index.disk.store`)."""

import contextlib
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rag.index.codec import EmbeddedText, pack_numbers, pack_vectors, stem_lines, term_counts, text_hash
from rag.index.disk.integrity import repair
from rag.index.disk.snapshot import Snapshot
from rag.text.near_duplicates import NEAR, Hashes, bands, min_hashes, shingles
from rag.types import Chunk, Document

_COMPARED = 50
"""With so many documents a new one is compared, those that share most bands with it."""


class StoreWriter:
    """The one build that may change an index (see `writing`)."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Write through `connection`, which is in autocommit mode."""
        self._connection = connection
        self._folder = folder
        # What a build before, which didn't end, has kept; and the texts of chunks that this one removes.
        (spares,) = connection.execute("SELECT value FROM meta WHERE key = 'spares'").fetchone() or ("1",)
        self._spares = spares != "0"
        self._freed: set[bytes] = set()
        self._terms: Counter[str] = Counter()

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
            self._connection.execute("UPDATE meta SET value = '1' WHERE key = 'spares'")
            self._connection.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        text_hash(embedded.text),
                        pack_vectors(embedded.sentence_vectors),
                        "\n".join(stem_lines(embedded.text, embedded.sentences)),
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
        """Replace documents at once: the body sees the new state, others only after it ends well."""
        with self._new_state():
            for source in removed:
                self._remove(source)
            for document, pieces in added:
                self._add(document, pieces)
            self._count_terms()
            self._drop_spares()
            yield self.snapshot()

    def take_vectors(self) -> None:
        """Let the FAISS file of the state that is being written be the one that it begins from."""
        self._connection.execute(
            "UPDATE meta SET value = (SELECT value FROM meta WHERE key = 'generation') WHERE key = 'vectors'"
        )
        self._connection.execute(
            "UPDATE meta SET value = (SELECT coalesce(max(id), 0) FROM chunks) WHERE key = 'vectors_last'"
        )
        self._connection.execute("DELETE FROM gone")

    @contextlib.contextmanager
    def repaired(self) -> Iterator[None]:
        """Repair what the store can repair from its own tables, at once, as in `swap`."""
        with self._new_state():
            repair(self._connection, self.snapshot().identity.dimension)
            # Those of the documents that it removes.
            self._connection.execute("UPDATE meta SET value = '1' WHERE key = 'spares'")
            yield

    @contextlib.contextmanager
    def _new_state(self) -> Iterator[None]:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (uuid.uuid4().hex[:12],)
            )
            yield

    def _count_terms(self) -> None:
        """Bring the table of terms in step with the chunks that came and went."""
        changed = [(term, count) for term, count in self._terms.items() if count]
        self._connection.executemany(
            "INSERT INTO terms VALUES (?, ?) "
            "ON CONFLICT (term) DO UPDATE SET chunks = chunks + excluded.chunks",
            changed,
        )
        gone = [(term,) for term, count in changed if count < 0]
        self._connection.executemany("DELETE FROM terms WHERE term = ? AND chunks = 0", gone)
        self._terms.clear()

    def _drop_spares(self) -> None:
        """Remove the vectors of no chunk: all, where a build before didn't end, else those just removed."""
        unused = "text_hash NOT IN (SELECT text_hash FROM chunks)"
        if self._spares:
            self._connection.execute(f"DELETE FROM texts WHERE {unused}")
        else:
            self._connection.executemany(
                f"DELETE FROM texts WHERE text_hash = ? AND {unused}", [(key,) for key in self._freed]
            )
        self._connection.execute("UPDATE meta SET value = '0' WHERE key = 'spares'")

    def _remove(self, source: str) -> None:
        rows = self._connection.execute("SELECT id FROM documents WHERE source = ?", (source,))
        (number,) = rows.fetchone()
        rows = self._connection.execute(
            "SELECT text_hash, text FROM chunks JOIN texts USING (text_hash) WHERE document = ?",
            (number,),
        )
        texts = rows.fetchall()
        self._freed.update(key for key, _ in texts)
        self._terms.subtract(term_counts(text for _, text in texts))
        self._connection.execute(
            "INSERT INTO gone SELECT id FROM chunks WHERE document = ? "
            "AND id <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'vectors_last')",
            (number,),
        )
        self._connection.execute(
            "INSERT INTO keywords (keywords, rowid, text) SELECT 'delete', chunks.id, texts.text "
            "FROM chunks JOIN texts USING (text_hash) WHERE document = ?",
            (number,),
        )
        for table, column in (("chunks", "document"), ("bands", "document"), ("documents", "id")):
            self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))

    def _add(self, document: Document, pieces: Sequence[Chunk]) -> None:
        hashes = min_hashes(shingles(document.text))
        keys = bands(hashes)
        number = self._connection.execute(
            "INSERT INTO documents (source, sha256, story, title, date, characters, hashes, pages, text) "
            "VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)",
            (
                document.source,
                document.sha256,
                document.title,
                document.date,
                len(document.text),
                hashes.tobytes(),
                pack_numbers(document.pages),
                document.text,
            ),
        ).lastrowid
        story = self._story(hashes, keys) or number
        self._connection.execute("UPDATE documents SET story = ? WHERE id = ?", (story, number))
        self._connection.executemany("INSERT INTO bands VALUES (?, ?)", [(key, number) for key in {*keys}])
        self._terms.update(term_counts(chunk.text for chunk in pieces))
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
