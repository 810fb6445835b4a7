"""Words of the same kind, by the embedder's own word vectors: Scotland and England, summer and winter."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from rag.models.tokenizer import read_tokenizer
from rag.text.analyzer import STOP_WORDS

NEAREST, FARTHEST = 0.52, 0.35
"""The cosines between which two words are siblings: above they mean the same, below they are unrelated."""

SHARED_LETTERS = 4
"""Words that share this many letters at the beginning are forms of one word."""

_WORD_VECTORS = "embeddings.word_embeddings.weight"


class Siblings:
    """Finds the word of the same kind as another."""

    def __init__(self, folder: Path) -> None:
        """Read the words and word vectors of an embedder's folder."""
        vectors = load_file(folder / "model.safetensors")[_WORD_VECTORS]
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._rows: dict[str, int] = read_tokenizer(folder).get_vocab()

    def known(self, text: str) -> set[str]:
        """The content words of a text that have a vector."""
        return {
            word
            for word in re.findall(r"[A-Za-z]{3,}", text)
            if word.lower() in self._rows and word.lower() not in STOP_WORDS
        }

    def of(self, word: str, others: Iterable[str]) -> str | None:
        """The nearest sibling of a known word among other known words; None without one."""
        start = word[:SHARED_LETTERS].lower()
        ordered = sorted(other for other in others if other[:SHARED_LETTERS].lower() != start)
        if not ordered:
            return None
        vectors = self._vectors[[self._rows[other.lower()] for other in ordered]]
        cosines = vectors @ self._vectors[self._rows[word.lower()]]
        cosines[cosines > NEAREST] = 0
        best = int(cosines.argmax())
        return ordered[best] if cosines[best] >= FARTHEST else None
