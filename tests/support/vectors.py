"""FAISS indexes of a few vectors."""

import numpy as np

from rag.index.disk.faiss_index import VectorIndex


def index_of(ids: np.ndarray, vectors: np.ndarray) -> VectorIndex:
    return VectorIndex.built(vectors.shape[1], len(ids), lambda: iter([(ids, vectors)]))
