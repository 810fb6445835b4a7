"""Text → unit vectors with eight-bit weights, without the libraries that made them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.models.openvino_runtime import Network
from rag.models.pooling import Span, Vectors, each_alone, span_vectors, unit
from rag.models.registry import Pooled
from rag.models.tokenizer import inputs, read_tokenizer

_INPUTS = ("ids", "attention_mask")
_BATCH_TOKENS = 1024
"""Padding counted: what a layer makes of so many still fits a core's cache."""


class QuantisedEmbedder:
    """An embedder on a network that gives a vector for each token. Any number of threads may call it."""

    def __init__(self, network: Network, folder: Path, pooled: Pooled, *, dimension: int) -> None:
        """Read texts with the tokenizer of the folder; `ModelError` when it can't be read."""
        self.dimension = dimension
        self.max_tokens = pooled.max_tokens
        self._pooling = pooled.pooling
        self._network = network
        # One for each use: a tokenizer can't be set otherwise while another thread uses it.
        self._whole, self._cut = read_tokenizer(folder), read_tokenizer(folder, max_tokens=self.max_tokens)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text: float32 of shape (n, dimension), each of length 1."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for place, _, tokens in self._read(texts):
            vectors[place] = self._pooled(tokens)
        return unit(vectors)

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and for each text one row for each of its spans (see `rag.models.embedder`)."""
        if self._pooling == "cls":
            return self.embed(texts), each_alone(self.embed, texts, spans)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        of_spans: list[Vectors] = [vectors] * len(texts)
        for place, encoding, tokens in self._read(texts):
            vectors[place] = self._pooled(tokens)
            of_spans[place] = span_vectors(tokens, np.array(encoding.offsets), spans[place], vectors[place])
        return unit(vectors), of_spans

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The word pieces of each text, special tokens included, before any cut."""
        return [len(encoding) for encoding in self._whole.encode_batch_fast(list(texts))]

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[int, Any, Vectors]]:
        """For each text, in any order: its place, its tokens, and their vectors, of shape (n, dimension)."""
        encodings = self._cut.encode_batch(list(texts))
        batches = list(_batches([len(encoding) for encoding in encodings]))
        batched = (inputs([encodings[place] for place in places], _INPUTS) for places in batches)
        for places, (vectors,) in zip(batches, self._network.run_all(batched), strict=True):
            for row, place in enumerate(places):
                yield place, encodings[place], vectors[row, : len(encodings[place])]

    def _pooled(self, tokens: Vectors) -> Vectors:
        return np.asarray(tokens[0] if self._pooling == "cls" else tokens.mean(axis=0))


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts of these sizes, by length, so many together as `_BATCH_TOKENS` lets."""
    batch: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: sizes[place]):
        if batch and sizes[place] * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
