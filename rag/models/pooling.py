"""The vectors of tokens → the vectors of spans of a text."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Span = tuple[int, int]


def span_vectors(
    tokens: Vectors, offsets: npt.NDArray[np.int64], spans: Sequence[Span], otherwise: Vectors
) -> Vectors:
    """The mean of the tokens inside each span, scaled to length 1; `otherwise` for a span without tokens.

    `tokens` has shape (n, dimension); `offsets` their (start, end), shape (n, 2), empty for special tokens.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    means = np.empty((len(spans), tokens.shape[1]), dtype=np.float32)
    for row, (start, end) in enumerate(spans):
        inside = (ends > start) & (starts < end) & (ends > starts)
        means[row] = tokens[inside].mean(axis=0) if inside.any() else otherwise
    return unit(means)


def each_alone(
    embed: Callable[[Sequence[str]], Vectors], texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> list[Vectors]:
    """For each text the vectors of its spans, each embedded alone, of shape (n, dimension)."""
    vectors = embed([text[start:end] for text, own in zip(texts, spans, strict=True) for start, end in own])
    ends = itertools.accumulate(map(len, spans))
    return [vectors[end - len(own) : end] for end, own in zip(ends, spans, strict=True)]


def unit(vectors: Vectors) -> Vectors:
    """The vectors, of shape (..., dimension), scaled to length 1; a zero vector stays one."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
