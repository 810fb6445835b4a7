"""Nearest vectors by FAISS: the only module that imports faiss.

The file is derived from the vectors in the store, so any damage to it is repaired by rebuilding it. FAISS
reads a changed vector, or the file of another index, without an error: so a hash of the content and of the
file's name, which is that of the state, stands before what FAISS wrote.
"""

import math
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexFileError
from rag.index.codec import Ids, Vectors
from rag.resources import atomic_file

Batches = Iterator[tuple[Ids, Vectors]]
"""Ids, of shape (n,), with their vectors, of shape (n, dimension)."""

EXACT = 50_000
"""Up to this many vectors all are compared; among more, only those of the nearest lists."""

PROBED = 13
"""This times the root of the number of lists is how many are searched.

Of 100,000 and of 1,000,000 passages recall@10 is 0.98 (see `tests.benchmarks.searching`).
"""

_TRAINED_ON = 40
"""How many vectors for each list its centre is computed from."""

_HASH_BYTES = 16
_BLOCK = 2**20


class VectorIndex:
    """Vectors of length 1 under their ids. Any thread may search it."""

    def __init__(self, saved: Any, *, gone: Ids, ids: Ids, vectors: Vectors) -> None:
        """What FAISS built or read, without the ids that are gone, and with these, which are all compared.

        `vectors` are of shape (n, dimension), `ids` of shape (n,).
        """
        faiss = _faiss()
        self._saved = saved
        self._lists: int = getattr(saved, "nlist", 0)
        if self._lists:
            saved.parallel_mode = 1  # the lists of a question are shared among the cores; it isn't saved
        self._gone = gone
        self._gone_selector = faiss.IDSelectorBatch(gone)  # kept here: older releases of FAISS don't
        self._left = faiss.IDSelectorNot(self._gone_selector) if len(gone) else None
        self._ids = ids
        self._vectors = vectors

    @classmethod
    def built(cls, dimension: int, count: int, batches: Callable[[], Batches]) -> "VectorIndex":
        """An index of `count` vectors, which each call of `batches` gives."""
        faiss = _faiss()
        if count <= EXACT:
            index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        else:
            lists = round(4 * math.sqrt(count))
            index = faiss.IndexIVFScalarQuantizer(
                faiss.IndexFlatIP(dimension),
                dimension,
                lists,
                faiss.ScalarQuantizer.QT_fp16,
                faiss.METRIC_INNER_PRODUCT,
            )
            index.nprobe = min(round(PROBED * math.sqrt(lists)), lists)
            every = max(count // (_TRAINED_ON * lists), 1)
            # Copies: what is cut from a batch would keep all of it.
            index.train(np.concatenate([vectors[::every].copy() for _, vectors in batches()]))
        for ids, vectors in batches():
            index.add_with_ids(vectors, ids)
        return cls._unchanged(index)

    @classmethod
    def _unchanged(cls, saved: Any) -> "VectorIndex":
        none = np.zeros(0, dtype=np.int64)
        return cls(saved, gone=none, ids=none, vectors=np.zeros((0, saved.d), dtype=np.float32))

    def changed(self, *, gone: Ids, ids: Ids, vectors: Vectors) -> "VectorIndex":
        """What was built or loaded, without the ids that are gone, and with these (see `__init__`)."""
        return VectorIndex(self._saved, gone=gone, ids=ids, vectors=vectors)

    def search(self, vector: Vectors, k: int, *, among: Ids | None = None) -> list[tuple[int, float]]:
        """The (id, cosine) of the k vectors nearest to `vector` of shape (dimension,), nearest first.

        With `among`, of those with these ids, and exactly. Fewer than k when there are fewer. Of equal ones
        the lower id is first.
        """
        if among is not None and len(self._gone):
            among = np.setdiff1d(among, self._gone)
        k = min(k, len(self) if among is None else len(among))
        if not k:
            return []
        inside = slice(None) if among is None else np.isin(self._ids, among)
        later = self._vectors[inside].dot(vector)
        nearest = np.argsort(-later, kind="stable")[:k]
        hits = self._nearest_saved(vector, k, among)
        hits += _pairs(self._ids[inside][nearest], later[nearest])
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]

    def _nearest_saved(self, vector: Vectors, k: int, among: Ids | None) -> list[tuple[int, float]]:
        """The (id, cosine) of the k nearest of those saved, and of all that are as near as the last of them.

        Which of equal ones FAISS finds depends on which of its threads comes first.
        """
        faiss = _faiss()
        given: dict[str, Any] = {"sel": self._left if among is None else faiss.IDSelectorBatch(among)}
        if self._lists:
            given["nprobe"] = self._saved.nprobe if among is None else self._lists
            parameters = faiss.SearchParametersIVF(**given)
        else:
            parameters = faiss.SearchParameters(**given)
        count = min(k + 1, self._saved.ntotal)
        while True:
            cosines, ids = self._saved.search(vector[np.newaxis], count, params=parameters)
            if count == self._saved.ntotal or ids[0, -1] < 0 or cosines[0, -1] < cosines[0, k - 1]:
                return [hit for hit in _pairs(ids[0], cosines[0]) if hit[0] >= 0]
            count = min(4 * count, self._saved.ntotal)

    def vectors(self, ids: Ids) -> Vectors | None:
        """The vectors of these ids, of shape (n, dimension), as they were saved; None if it lacks one.

        Not while another thread searches.
        """
        if self._lists:
            self._saved.set_direct_map_type(_faiss().DirectMap.Hashtable)
        row_of = {int(i): row for row, i in enumerate(self._ids)}
        saved = np.array([int(i) not in row_of for i in ids], dtype=bool)
        vectors = np.empty((len(ids), self._saved.d), dtype=np.float32)
        try:
            vectors[saved] = self._saved.reconstruct_batch(ids[saved])
        except RuntimeError:
            return None
        vectors[~saved] = self._vectors[[row_of[int(i)] for i in ids[~saved]]]
        return vectors

    def __len__(self) -> int:
        """The number of vectors."""
        return int(self._saved.ntotal) - len(self._gone) + len(self._ids)

    def save(self, path: Path) -> None:
        """Write what was built, so that a reader sees all of the file or none."""
        digest = _hash(path)
        try:
            with atomic_file(path) as file:

                def write(content: bytes) -> None:
                    digest.update(content)
                    file.write(content)

                file.seek(_HASH_BYTES)
                faiss = _faiss()
                faiss.write_index(self._saved, faiss.PyCallbackIOWriter(write))
                file.seek(0)
                file.write(digest.digest())
        except OSError as error:
            raise IndexFileError(f"{path} can't be written: {error}. Check the disk space.") from error

    @classmethod
    def load(cls, path: Path) -> "VectorIndex | None":
        """The index in the file; None when there is none, or it isn't as it was saved under this name."""
        faiss = _faiss()
        digest = _hash(path)
        try:
            with path.open("rb") as file:
                saved_digest = file.read(_HASH_BYTES)
                while content := file.read(_BLOCK):
                    digest.update(content)
                if saved_digest != digest.digest():
                    return None
                file.seek(_HASH_BYTES)
                return cls._unchanged(faiss.read_index(faiss.PyCallbackIOReader(file.read)))
        except (OSError, RuntimeError):  # FAISS can't read what another release of it wrote
            return None


def _faiss() -> Any:
    import faiss

    return faiss


def _pairs(ids: Ids, cosines: Vectors) -> list[tuple[int, float]]:
    return [(int(i), float(cosine)) for i, cosine in zip(ids, cosines, strict=True)]


def _hash(path: Path) -> blake2b:
    """Of the file's name, to be followed by its content."""
    return blake2b(path.name.encode(), digest_size=_HASH_BYTES)
