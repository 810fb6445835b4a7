"""Nearest vectors by FAISS: the only module that imports faiss.

The file is derived from the vectors in the store, so any damage to it is mended by making it anew. FAISS
reads a changed vector, or the file of another index, without a word: so a hash of the content and of the
file's name, which is that of the state, stands before what FAISS wrote.
"""

import math
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError
from rag.resources import atomic_file

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Batches = Iterator[tuple[Ids, Vectors]]
"""Ids, of shape (n,), with their vectors, of shape (n, dimension)."""

EXACT = 50_000
"""So many vectors are compared one by one; among more, only those of the lists that are nearest."""

PROBED = 13
"""So many times the root of the number of lists is how many are searched.

Of 100,000 and of 1,000,000 passages recall@10 is 0.98 (see `tests.benchmarks.searching`).
"""

_LEARNT_FROM = 40
"""How many vectors for each list its centre is learnt from."""

_HASH_BYTES = 16
_BLOCK = 2**20


class VectorIndex:
    """Vectors of length 1 under their ids. Any thread may search it."""

    def __init__(self, saved: Any, *, gone: Ids, ids: Ids, vectors: Vectors) -> None:
        """What FAISS made or read, without the ids that are gone, and with these, which are compared exactly.

        `vectors` are of shape (n, dimension), `ids` of shape (n,).
        """
        faiss = _faiss()
        self._saved = saved
        self._lists: int = getattr(saved, "nlist", 0)
        if self._lists:
            saved.parallel_mode = 1  # the lists of a question are shared among the cores; it isn't saved
        self._gone = gone
        self._those_gone = faiss.IDSelectorBatch(gone)  # which older releases of FAISS don't keep
        self._left = faiss.IDSelectorNot(self._those_gone) if len(gone) else None
        self._ids = ids
        self._vectors = vectors

    @classmethod
    def made(cls, dimension: int, count: int, batches: Callable[[], Batches]) -> "VectorIndex":
        """An index of so many vectors, which `batches` gives as often as it is called."""
        faiss = _faiss()
        if count <= EXACT:
            saved = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        else:
            lists = round(4 * math.sqrt(count))
            saved = faiss.IndexIVFScalarQuantizer(
                faiss.IndexFlatIP(dimension),
                dimension,
                lists,
                faiss.ScalarQuantizer.QT_fp16,
                faiss.METRIC_INNER_PRODUCT,
            )
            saved.nprobe = min(round(PROBED * math.sqrt(lists)), lists)
            every = max(count // (_LEARNT_FROM * lists), 1)
            # Copies: what is cut from a batch would keep all of it.
            saved.train(np.concatenate([vectors[::every].copy() for _, vectors in batches()]))
        for ids, vectors in batches():
            saved.add_with_ids(vectors, ids)
        return cls(saved, gone=_ids(()), ids=_ids(()), vectors=np.zeros((0, dimension), dtype=np.float32))

    def changed(self, *, gone: Ids, ids: Ids, vectors: Vectors) -> "VectorIndex":
        """What was made or loaded, without the ids that are gone, and with these (see `__init__`)."""
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
        found = self._nearest_saved(vector, k, among)
        inside = slice(None) if among is None else np.isin(self._ids, among)
        later = self._vectors[inside].dot(vector)
        nearest = np.argsort(-later, kind="stable")[:k]
        found += [(int(i), float(c)) for i, c in zip(self._ids[inside][nearest], later[nearest], strict=True)]
        return sorted(found, key=lambda item: (-item[1], item[0]))[:k]

    def _nearest_saved(self, vector: Vectors, k: int, among: Ids | None) -> list[tuple[int, float]]:
        """The (id, cosine) of the k nearest of those saved, and of all that are as near as the last of them.

        Which of equal ones FAISS finds depends on which of its threads comes first.
        """
        faiss = _faiss()
        given: dict[str, Any] = {"sel": self._left if among is None else faiss.IDSelectorBatch(among)}
        if self._lists:
            given["nprobe"] = self._saved.nprobe if among is None else self._lists
            chosen = faiss.SearchParametersIVF(**given)
        else:
            chosen = faiss.SearchParameters(**given)
        count = min(k + 1, self._saved.ntotal)
        while True:
            cosines, ids = self._saved.search(vector[np.newaxis], count, params=chosen)
            if count == self._saved.ntotal or ids[0, -1] < 0 or cosines[0, -1] < cosines[0, k - 1]:
                return [(int(i), float(c)) for i, c in zip(ids[0], cosines[0], strict=True) if i >= 0]
            count = min(4 * count, self._saved.ntotal)

    def vectors(self, ids: Ids) -> Vectors | None:
        """The vectors of these ids, of shape (n, dimension), as they were saved; None if it lacks one.

        Not while another thread searches.
        """
        faiss = _faiss()
        if self._lists:
            self._saved.set_direct_map_type(faiss.DirectMap.Hashtable)
        place = {int(i): row for row, i in enumerate(self._ids)}
        saved = [int(i) not in place for i in ids]
        found = np.empty((len(ids), self._saved.d), dtype=np.float32)
        try:
            found[saved] = self._saved.reconstruct_batch(ids[saved])
        except RuntimeError:
            return None
        for row, later in enumerate(saved):
            if not later:
                found[row] = self._vectors[place[int(ids[row])]]
        return found

    def __len__(self) -> int:
        """How many vectors there are."""
        return int(self._saved.ntotal) - len(self._gone) + len(self._ids)

    def save(self, path: Path) -> None:
        """Write what was made, so that a reader sees all of the file or none."""
        faiss = _faiss()
        digest = _hash(path)
        try:
            with atomic_file(path) as file:

                def write(content: bytes) -> None:
                    digest.update(content)
                    file.write(content)

                file.seek(_HASH_BYTES)
                faiss.write_index(self._saved, faiss.PyCallbackIOWriter(write))
                file.seek(0)
                file.write(digest.digest())
        except OSError as error:
            raise IndexFileError(f"{path} can't be written: {error}. Check the disk space.") from error

    @classmethod
    def load(cls, path: Path) -> "VectorIndex | None":
        """The index in the file, or None when there is none, or not as it was saved under this name."""
        faiss = _faiss()
        digest = _hash(path)
        try:
            with path.open("rb") as file:
                kept = file.read(_HASH_BYTES)
                while content := file.read(_BLOCK):
                    digest.update(content)
                if kept != digest.digest():
                    return None
                file.seek(_HASH_BYTES)
                saved = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        except (OSError, RuntimeError):  # FAISS can't read what another release of it wrote
            return None
        return cls(saved, gone=_ids(()), ids=_ids(()), vectors=np.zeros((0, saved.d), dtype=np.float32))


def _faiss() -> Any:
    import faiss

    return faiss


def _ids(values: tuple[int, ...]) -> Ids:
    return np.array(values, dtype=np.int64)


def _hash(path: Path) -> blake2b:
    """Of the file's name, to be followed by its content."""
    return blake2b(path.name.encode(), digest_size=_HASH_BYTES)
