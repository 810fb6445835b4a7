"""Text → unit vectors; question and text → a score: the only module that imports sentence_transformers."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rag.errors import ModelError

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """What the stages need of an embedder."""

    dimension: int
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text: float32 of shape (n, dimension), each of length 1."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The word pieces of each text, special tokens included, before any cut."""


class Reranker(Protocol):
    """What retrieval needs of a reranker."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, 0 to 1."""


class SentenceTransformerEmbedder:
    """An embedder from a sentence-transformers folder. Any thread may call it; one works at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; `ModelError` when the folder doesn't hold one."""
        from sentence_transformers import SentenceTransformer

        _hush()
        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except Exception as error:
            raise ModelError(
                f"{folder} is not an embedder that sentence-transformers can load: {error}"
            ) from error
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(f"{folder} doesn't say how many dimensions its vectors have.")
        self.dimension: int = dimension
        self.max_tokens: int = self._model.max_seq_length or 512
        # The fast tokenizer fails with "Already borrowed" when two threads use it at once.
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text: float32 of shape (n, dimension), each of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                batch_size=32,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The word pieces of each text, special tokens included, before any cut."""
        if not texts:
            return []
        with self._lock:
            encoded = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]


class CrossEncoderReranker:
    """A reranker from a cross-encoder's folder. Any thread may call it; one works at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; `ModelError` when the folder doesn't hold one that gives one score."""
        from sentence_transformers import CrossEncoder
        from torch.nn import Sigmoid

        _hush()
        try:
            self._model = CrossEncoder(
                str(folder), device="cpu", local_files_only=True, activation_fn=Sigmoid()
            )
        except Exception as error:
            raise ModelError(
                f"{folder} is not a cross-encoder that sentence-transformers can load: {error}"
            ) from error
        if self._model.num_labels != 1:
            raise ModelError(f"{folder} gives {self._model.num_labels} scores a passage; a reranker gives 1.")
        self._lock = threading.Lock()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, 0 to 1."""
        if not texts:
            return []
        with self._lock:
            found = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        return [float(score) for score in found]


def _hush() -> None:
    from transformers.utils import logging

    hush: Callable[[], None] = logging.disable_progress_bar
    hush()  # a line per model on stderr, where ours should be
