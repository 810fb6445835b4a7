"""Nearest vectors by FAISS: the only module that imports faiss.

The file is derived from the vectors in the store, so any damage to it is mended by making it anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


class VectorIndex:
    """Vectors of length 1 under their ids; searching is exact."""

    def __init__(self, ids: Ids, vectors: Vectors) -> None:
        """Index `vectors` of shape (n, dimension) under `ids` of shape (n,)."""
        import faiss

        self._faiss: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        if len(ids):
            self._faiss.add_with_ids(vectors, ids)

    def search(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """The (id, cosine) of the k vectors nearest to `vector` of shape (dimension,), nearest first.

        Fewer than k when the index is smaller.
        """
        cosines, ids = self._faiss.search(vector[np.newaxis], min(k, len(self)))
        return [(int(i), float(c)) for i, c in zip(ids[0], cosines[0], strict=True)]

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """The cosine of each of these vectors with `vector` of shape (dimension,), in order."""
        return [float(self._faiss.reconstruct(i) @ vector) for i in ids]

    def __len__(self) -> int:
        """How many vectors there are."""
        return int(self._faiss.ntotal)

    def save(self, path: Path) -> None:
        """Write the file so that a reader sees all of it or none."""
        import faiss

        temporary = path.with_suffix(".tmp")
        try:
            faiss.write_index(self._faiss, str(temporary))
            temporary.replace(path)
        except (RuntimeError, OSError) as error:
            raise IndexFileError(f"{path} can't be written: {error}. Check the disk space.") from error

    @classmethod
    def load(cls, path: Path) -> "VectorIndex | None":
        """The index in the file, or None when there is none that FAISS can read."""
        import faiss

        if not path.is_file():
            return None
        try:
            found = faiss.read_index(str(path))
        except RuntimeError:
            return None
        loaded = cls.__new__(cls)
        loaded._faiss = found
        return loaded
