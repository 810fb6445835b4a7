"""What an index keeps ↔ bytes and lines of text: vectors, offsets, stems, the hash of a text."""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args

import numpy as np
import numpy.typing as npt

from rag.text.analyzer import line, stems
from rag.text.chunking import embedded_spans, embedded_text
from rag.types import Block, BlockKind, Chunk

_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
_TITLED = [_KINDS.index("heading"), _KINDS.index("question")]

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The text of a chunk after its context, with its vector, of shape (dimension,), and its sentences'.

    The context, if there is one, is the first of the `sentences`; they are (start, end) in the text.
    `sentence_vectors` are of shape (n, dimension). All vectors are float32 of length 1.
    """

    text: str
    vector: Vectors
    sentences: tuple[tuple[int, int], ...]
    sentence_vectors: Vectors


def text_hash(text: str, sentences: Sequence[tuple[int, int]] = ()) -> bytes:
    """The key under which the vectors of a text with these sentences are kept."""
    return blake2b(text.encode() + b"\0" + pack_numbers(sentences), digest_size=16).digest()


def key_of(chunk: Chunk) -> bytes:
    """The key under which the vectors of the chunk are kept."""
    return text_hash(embedded_text(chunk), embedded_spans(chunk))


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


def pack_blocks(blocks: Sequence[Block]) -> bytes:
    """Blocks as bytes; headers that several of them have are kept once."""
    headers = {header: number for number, header in enumerate(dict.fromkeys(one.header for one in blocks))}
    rows = [(_KINDS.index(one.kind), one.start, one.end, one.level, headers[one.header]) for one in blocks]
    flat = [number for header in headers for number in (len(header), *itertools.chain(*header))]
    numbers = np.array([len(rows), *itertools.chain(*rows), *flat], dtype=np.int32)
    return zlib.compress(numbers.tobytes(), 1)


def unpack_blocks(packed: bytes, start: int, end: int) -> tuple[Block, ...]:
    """The blocks with a character from `start` to `end`, after the headings that these stand under."""
    numbers = np.frombuffer(zlib.decompress(packed), dtype=np.int32)
    count = int(numbers[0])
    rows = numbers[1 : 1 + 5 * count].reshape(count, 5)
    first = int(np.searchsorted(rows[:, 2], start, side="right"))
    last = int(np.searchsorted(rows[:, 1], end, side="left"))
    path: list[int] = []
    above = 1 << 30
    headings = np.flatnonzero(np.isin(rows[:first, 0], _TITLED) & (rows[:first, 3] > 0))
    for row in reversed(headings.tolist()):
        if rows[row, 3] < above:
            above = int(rows[row, 3])
            path.insert(0, row)
        if above == 1:
            break
    headers = _unpacked_headers(numbers[1 + 5 * count :].tolist())
    return tuple(
        Block(_KINDS[kind], begin, stop, level, headers[header])
        for kind, begin, stop, level, header in rows[[*path, *range(first, max(first, last))]].tolist()
    )


def _unpacked_headers(numbers: list[int]) -> list[tuple[tuple[int, int], ...]]:
    headers = []
    position = 0
    while position < len(numbers):
        stop = position + 1 + 2 * numbers[position]
        header = numbers[position + 1 : stop]
        headers.append(tuple(zip(header[::2], header[1::2], strict=True)))
        position = stop
    return headers
