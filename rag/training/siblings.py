"""Words of the same kind by the embedder's own vectors of words: Scotland, England; summer, winter."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from rag.text.analyzer import STOP_WORDS

NEAREST, FARTHEST = 0.52, 0.35
"""The cosine of siblings: with more they mean the same, with less they have nothing in common."""

SAME_LETTERS = 4
"""Words that begin with so many letters alike are forms of one."""

_WORD_VECTORS = "embeddings.word_embeddings.weight"


class Siblings:
    """Finds for a word the one of the same kind."""

    def __init__(self, folder: Path) -> None:
        """The words and the vectors of an embedder's folder."""
        vectors = load_file(folder / "model.safetensors")[_WORD_VECTORS]
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._rows: dict[str, int] = AutoTokenizer.from_pretrained(str(folder)).get_vocab()

    def known(self, text: str) -> set[str]:
        """The words of a text that have a vector and say something."""
        return {
            word
            for word in re.findall(r"[A-Za-z]{3,}", text)
            if word.lower() in self._rows and word.lower() not in STOP_WORDS
        }

    def of(self, word: str, others: Iterable[str]) -> str | None:
        """The sibling among other words, all of them known; None where there is none."""
        ordered = sorted(
            other for other in others if other[:SAME_LETTERS].lower() != word[:SAME_LETTERS].lower()
        )
        if not ordered:
            return None
        alike = self._vectors[[self._rows[other.lower()] for other in ordered]]
        cosines = alike @ self._vectors[self._rows[word.lower()]]
        cosines[cosines > NEAREST] = 0
        best = int(cosines.argmax())
        return ordered[best] if cosines[best] >= FARTHEST else None
