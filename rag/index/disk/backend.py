"""The folder of an index as a place to keep one (see `rag.index.base.Backend`)."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rag.errors import shown
from rag.index.base import REPAIR, EmbeddedDocument, Examination, StoredDocument, require_identity
from rag.index.codec import EmbeddedText, text_hash
from rag.index.disk import store
from rag.index.disk.faiss_index import VectorIndex
from rag.index.disk.index import DiskIndex, rebuild_vectors, save_vectors, up_to_date
from rag.index.disk.integrity import SPARES, coverage_by_source, store_faults
from rag.index.disk.snapshot import Snapshot
from rag.index.disk.spool import Spool
from rag.index.disk.writer import StoreWriter
from rag.types import EmbedderIdentity

_PROBES, _NEAREST = 100, 10
"""How many vectors recall is measured with, and how many of the nearest to each."""

_RECALL = 0.95
"""The least recall that is no fault (see `faiss_index.PROBED`)."""

_HALF_PRECISION = 1e-3
"""How far off a number may be that the FAISS file keeps in 16 bits."""


class DiskWriter:
    """Writes documents into the index in a folder, which changes all at once (see `IndexWriter`)."""

    def __init__(self, writer: StoreWriter, spool: Spool) -> None:
        """Write through `writer`, and keep the documents in `spool` until all are there."""
        self._writer = writer
        self._spool = spool

    def hashes(self) -> dict[str, str]:
        """See `IndexWriter.hashes`."""
        return self._writer.snapshot().hashes()

    def connect(self) -> None:
        """See `IndexWriter.connect`: one process writes into a folder."""

    def known(self, sources: Sequence[str], keys: Sequence[bytes]) -> dict[bytes, None]:
        """See `IndexWriter.known`: the store has the vectors of its texts."""
        return {key: None for key in keys if not self._writer.lacks(key)}

    def keep(self, texts: Sequence[EmbeddedText]) -> bool:
        """See `IndexWriter.keep`."""
        self._writer.keep(texts)
        return True

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """See `IndexWriter.upsert`."""
        for embedded in documents:
            if embedded.document.source not in self._spool.sources:
                self._writer.keep(
                    [
                        text
                        for text in embedded.texts
                        if self._writer.lacks(text_hash(text.text, text.sentences))
                    ]
                )
                self._spool.add(embedded.document, embedded.pieces)

    def finish(self, now: Mapping[str, str]) -> None:
        """See `IndexWriter.finish`."""
        before = self.hashes()
        changed = [source for source in self._spool.sources if source in before]
        removed = [source for source in before if source not in now]
        if self._spool.sources or removed:
            with self._writer.swap([*changed, *removed], self._spool):
                save_vectors(self._writer)


class DiskBackend:
    """An index in a folder."""

    batch_texts = 4096

    def __init__(self, folder: Path) -> None:
        """The index in this folder, which need not exist yet."""
        self.folder: Path | None = folder
        self.name = f"{shown(folder)}/"
        self._folder = folder

    def exists(self) -> bool:
        """See `Backend.exists`."""
        return (self._folder / "current").is_file()

    def open(self, identity: EmbedderIdentity) -> DiskIndex:
        """See `Backend.open`."""
        return DiskIndex(self._folder, identity)

    @contextlib.contextmanager
    def write(self, identity: EmbedderIdentity, *, rebuild: bool) -> Iterator[DiskWriter]:
        """See `Backend.write`."""
        with (
            store.writing(self._folder, identity, rebuild=rebuild) as writer,
            contextlib.closing(Spool(self._folder)) as spool,
        ):
            yield DiskWriter(writer, spool)

    def documents(self) -> Mapping[str, StoredDocument]:
        """See `Backend.documents`."""
        if not self.exists():
            return {}
        with store.reading(self._folder) as snapshot:
            return snapshot.documents()

    @contextlib.contextmanager
    def examine(self, identity: EmbedderIdentity) -> Iterator[tuple[Snapshot, Examination]]:
        """See `Backend.examine`: every row, vector and file is compared with the others."""
        notes = []
        if (builder := store.writer_of(self._folder)) is not None:
            notes.append(f"{self.name} is being built by {builder}; its changes may show as faults.")
        with store.reading(self._folder) as snapshot:
            require_identity(snapshot.identity, identity, self.name)
            faults = [*store_faults(snapshot, self.name)]
            if count := snapshot.count(SPARES):
                vectors, them = ("vector", "it") if count == 1 else ("vectors", "them")
                notes.append(f"An interrupted build left {count} {vectors}; the next build reuses {them}.")
            sound, recall = not faults, None
            if sound:
                saved = up_to_date(snapshot, VectorIndex.load(snapshot.vectors_path))
                faults.extend(_vector_faults(snapshot, saved))
                recall = None if saved is None else _recall(snapshot, saved)
            faults += [
                f"{name} is left over in {self.name}. {REPAIR}" for name in store.left_over(self._folder)
            ]
            if recall is not None and recall < _RECALL:
                faults.append(f"Search finds {recall:.0%} of what exact search finds. {REPAIR}")
            yield (
                snapshot,
                Examination(
                    sound=sound,
                    faults=tuple(faults),
                    notes=tuple(notes),
                    coverage=coverage_by_source(snapshot),
                    chunks=snapshot.chunk_count(),
                    near_duplicates=snapshot.count(
                        "documents WHERE story IN "
                        "(SELECT story FROM documents GROUP BY story HAVING count(*) > 1)"
                    ),
                    store_bytes=_bytes(self._folder, "store-*"),
                    vectors_bytes=_bytes(self._folder, "vectors-*"),
                    recall=recall,
                ),
            )

    def repair(self, identity: EmbedderIdentity) -> None:
        """See `Backend.repair`."""
        store.adopt(self._folder, identity)
        with store.reading(self._folder):
            pass  # where there is no index, none is created
        with store.writing(self._folder, identity, rebuild=False) as writer, writer.repaired():
            rebuild_vectors(writer)


def _vector_faults(snapshot: Snapshot, saved: VectorIndex | None) -> Iterator[str]:
    """How the FAISS file differs from the store."""
    name = snapshot.vectors_path.name
    if saved is None:
        yield f"{name} is missing or damaged, so it is rebuilt at each start. {REPAIR}"
        return
    for ids, vectors in snapshot.vectors():
        of_file = saved.vectors(ids)
        if of_file is None or not np.allclose(vectors, of_file, atol=_HALF_PRECISION):
            yield f"{name} doesn't have the vectors of the store. {REPAIR}"
            return


def _recall(snapshot: Snapshot, saved: VectorIndex) -> float | None:
    """The share of the nearest by exact search that the FAISS index finds, for some of its own vectors."""
    count = snapshot.chunk_count()
    if not count:
        return None
    every = max(count // _PROBES, 1)
    probes = np.concatenate([batch[::every].copy() for _, batch in snapshot.vectors()])[:_PROBES]
    exact = np.zeros((len(probes), 0), dtype=np.float32)
    for _, batch in snapshot.vectors():
        exact = np.sort(np.hstack([exact, probes.dot(batch.T)]), axis=1)[:, -_NEAREST:]
    shares = []
    for probe, cosines in zip(probes, exact, strict=True):
        near = [cosine for _, cosine in saved.search(probe, _NEAREST)]
        shares.append(np.mean(np.array(near) >= cosines[0] - _HALF_PRECISION) * len(near) / len(cosines))
    return float(np.mean(shares))


def _bytes(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
