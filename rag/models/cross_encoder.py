"""Question and text → a score, by a model that reads both together."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rag.errors import ModelError
from rag.models.embedder import hush


class Reranker(Protocol):
    """What retrieval needs of a reranker."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, 0 to 1."""


def load_cross_encoder(folder: Path, *, max_tokens: int) -> Any:
    """A cross-encoder with one score, from an embedder's weights, its head untrained."""
    from sentence_transformers import CrossEncoder

    hush()
    # Both warn that the head is missing, which is expected here.
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        return CrossEncoder(
            str(folder), num_labels=1, max_length=max_tokens, device="cpu", local_files_only=True
        )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class CrossEncoderReranker:
    """A reranker from a cross-encoder's folder. Any thread may call it; calls run one at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; `ModelError` when the folder doesn't hold one that gives one score."""
        from sentence_transformers import CrossEncoder

        hush()
        try:
            self._model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        except Exception as error:
            reason = f"is not a cross-encoder that sentence-transformers can load: {error}"
            raise ModelError(f"{folder} {reason}") from error
        self._folder = folder
        if not _has_head(self._model.model, folder):
            raise ModelError(f"{folder} is damaged: its weights lack the part that scores. Name another.")
        if self._model.num_labels != 1:
            raise ModelError(f"{folder} gives {self._model.num_labels} scores a passage; a reranker gives 1.")
        self._lock = threading.Lock()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, 0 to 1."""
        if not texts:
            return []
        pairs = [(question, text) for text in texts]
        with self._lock:
            scores = self._model.predict(
                pairs, activation_fn=lambda logits: logits.sigmoid(), show_progress_bar=False
            )
        if not np.isfinite(scores).all():
            raise ModelError(f"{self._folder} is damaged: its scores are not numbers. Name another.")
        return [float(score) for score in scores]


def _has_head(model: Any, folder: Path) -> bool:
    """Whether the weights contain the head; transformers fills missing weights with random numbers."""
    from safetensors import safe_open

    file = folder / "model.safetensors"
    if not file.is_file():
        return True  # a pickle, which can't be inspected without running its code
    with safe_open(file, framework="numpy") as weights:
        present = set(weights.keys())
    base = f"{model.base_model_prefix}."
    return all(name in present for name, _ in model.named_parameters() if not name.startswith(base))
