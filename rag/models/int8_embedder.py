"""Text → unit vectors with eight-bit weights, without torch or sentence-transformers."""

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
"""Padding included: the outputs of a layer for this number of tokens still fit a core's cache."""


class QuantisedEmbedder:
    """An embedder on a network that gives a vector per token. Threads may call it at the same time."""

    def __init__(self, network: Network, folder: Path, pooled: Pooled, *, dimension: int) -> None:
        """Use the tokenizer of the folder; `ModelError` when it can't be read."""
        self.dimension = dimension
        self.max_tokens = pooled.max_tokens
        self._pooling = pooled.pooling
        self._network = network
        # Two tokenizers: the settings of one can't change while another thread uses it.
        self._whole, self._cut = read_tokenizer(folder), read_tokenizer(folder, max_tokens=self.max_tokens)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text: float32 of shape (n, dimension), each of length 1."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for index, _, tokens in self._token_vectors(texts):
            vectors[index] = self._pool(tokens)
        return unit(vectors)

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and per text one row for each of its spans (see `rag.models.embedder`)."""
        if self._pooling == "cls":
            return self.embed(texts), each_alone(self.embed, texts, spans)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        span_rows: list[Vectors] = [vectors] * len(texts)
        for index, encoding, tokens in self._token_vectors(texts):
            vectors[index] = self._pool(tokens)
            span_rows[index] = span_vectors(tokens, np.array(encoding.offsets), spans[index], vectors[index])
        return unit(vectors), span_rows

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The number of word pieces of each text, special tokens included, before truncation."""
        return [len(encoding) for encoding in self._whole.encode_batch_fast(list(texts))]

    def _token_vectors(self, texts: Sequence[str]) -> Iterator[tuple[int, Any, Vectors]]:
        """Each text's index, encoding and token vectors, of shape (n, dimension); shortest text first."""
        encodings = self._cut.encode_batch(list(texts))
        batches = list(_batches([len(encoding) for encoding in encodings]))
        batched = (inputs([encodings[index] for index in batch], _INPUTS) for batch in batches)
        for batch, (vectors,) in zip(batches, self._network.run_all(batched), strict=True):
            for row, index in enumerate(batch):
                yield index, encodings[index], vectors[row, : len(encodings[index])]

    def _pool(self, tokens: Vectors) -> Vectors:
        return np.asarray(tokens[0] if self._pooling == "cls" else tokens.mean(axis=0))


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """The indexes of texts of these sizes, shortest first, in batches of at most `_BATCH_TOKENS`."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and sizes[index] * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
