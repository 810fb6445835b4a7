"""Nearest vectors by FAISS: the only module that imports faiss.

The file is derived from the vectors in the store, so any damage to it is mended by making it anew. FAISS
reads a changed vector, or the file of another index, without a word: so a hash of the content and of the
file's name, which is that of the state, stands before what FAISS wrote.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_HASH_BYTES = 16


class VectorIndex:
    """Vectors of length 1 under their ids; searching is exact."""

    def __init__(self, ids: Ids, vectors: Vectors) -> None:
        """Index `vectors` of shape (n, dimension) under `ids` of shape (n,)."""
        import faiss

        self._faiss: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        if len(ids):
            self._faiss.add_with_ids(vectors, ids)

    def search(self, vector: Vectors, k: int, *, among: Ids | None = None) -> list[tuple[int, float]]:
        """The (id, cosine) of the k vectors nearest to `vector` of shape (dimension,), nearest first.

        With `among`, of those with these ids. Fewer than k when there are fewer. Of equal ones the lower id
        is first.
        """
        import faiss

        k = min(k, len(self) if among is None else len(among))
        if not k:
            return []
        chosen: Any = faiss.SearchParameters() if among is not None else None
        if among is not None:
            chosen.sel = faiss.IDSelectorBatch(among)
        cosines, ids = self._faiss.search(vector[np.newaxis], k, params=chosen)
        found = [(int(i), float(c)) for i, c in zip(ids[0], cosines[0], strict=True)]
        return sorted(found, key=lambda item: (-item[1], item[0]))

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """The cosine of each of these vectors with `vector` of shape (dimension,), in order."""
        return [float(self._faiss.reconstruct(i) @ vector) for i in ids]

    def all(self) -> tuple[Ids, Vectors]:
        """The ids, of shape (n,) and rising, and the vectors, of shape (n, dimension)."""
        import faiss

        ids = np.sort(faiss.vector_to_array(self._faiss.id_map))
        return ids, self._faiss.reconstruct_batch(ids)

    def __len__(self) -> int:
        """How many vectors there are."""
        return int(self._faiss.ntotal)

    def save(self, path: Path) -> None:
        """Write the file so that a reader sees all of it or none."""
        import faiss

        temporary = path.with_suffix(".tmp")
        try:
            content = faiss.serialize_index(self._faiss).tobytes()
            temporary.write_bytes(_hash(path, content) + content)
            temporary.replace(path)
        except OSError as error:
            raise IndexFileError(f"{path} can't be written: {error}. Check the disk space.") from error

    @classmethod
    def load(cls, path: Path) -> "VectorIndex | None":
        """The index in the file, or None when there is none, or not as it was saved under this name."""
        import faiss

        try:
            found = path.read_bytes()
        except OSError:
            return None
        content = found[_HASH_BYTES:]
        if found[:_HASH_BYTES] != _hash(path, content):
            return None
        loaded = cls.__new__(cls)
        loaded._faiss = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))
        return loaded


def _hash(path: Path, content: bytes) -> bytes:
    return blake2b(path.name.encode() + content, digest_size=_HASH_BYTES).digest()
