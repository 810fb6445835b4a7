"""What an index keeps ↔ bytes and lines of text: vectors, offsets, stems, the hash of a text."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from rag.text.analyzer import line, stems

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The text of a chunk with its vector, of shape (dimension,), and those of its sentences.

    `sentences` are (start, end) in the text, `sentence_vectors` are of shape (n, dimension). All vectors are
    float32 of length 1.
    """

    text: str
    vector: Vectors
    sentences: tuple[tuple[int, int], ...]
    sentence_vectors: Vectors


def text_hash(text: str) -> bytes:
    """The key under which the vectors of a text are kept."""
    return blake2b(text.encode(), digest_size=16).digest()


def pack_vectors(vectors: Vectors) -> bytes:
    """Unit vectors of shape (n, dimension) as one byte a number: an eighth of a degree off."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    return bytes(np.round(vectors / largest * 127).astype(np.int8).tobytes())


def cosines(packed: Sequence[bytes], vector: Vectors) -> list[list[float]]:
    """The cosines of packed vectors with `vector` of shape (dimension,), a list for each pack.

    `ValueError` when the length of a pack is no multiple of the dimension.
    """
    if any(len(pack) % len(vector) for pack in packed):
        raise ValueError("the length of packed vectors is no multiple of their dimension")
    vectors = np.frombuffer(b"".join(packed), dtype=np.int8).reshape(-1, len(vector)).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    # Not `@`, which may warn of what BLAS reads beyond the end of short rows.
    every = iter((vectors.dot(vector) / np.maximum(lengths, 1e-9)).tolist())
    return [list(itertools.islice(every, len(pack) // len(vector))) for pack in packed]


def pack_stems(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The stems of these spans of a text, each span a line (see `rag.text.analyzer`)."""
    return "\n".join(line(stems(text[start:end])) for start, end in spans)


def unpack_stems(packed: str) -> tuple[str, ...]:
    """The line of each span."""
    return tuple(packed.split("\n")) if packed else ()


def term_counts(texts: Iterable[str]) -> Counter[str]:
    """The number of these texts that have each stem."""
    return Counter(itertools.chain.from_iterable(set(stems(text)) for text in texts))


def pack_numbers(numbers: Sequence[int] | Sequence[tuple[int, int]]) -> bytes:
    """Offsets, or pairs of them, as bytes."""
    return np.array(numbers, dtype=np.int32).tobytes()


def unpack_numbers(packed: bytes) -> list[int]:
    """The offsets again."""
    return list(np.frombuffer(packed, dtype=np.int32).tolist())


def unpack_spans(packed: bytes) -> list[tuple[int, int]]:
    """The pairs of offsets again."""
    numbers = unpack_numbers(packed)
    return list(zip(numbers[::2], numbers[1::2], strict=True))
