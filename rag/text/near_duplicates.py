"""Near-duplicates: a wire story in several files, a passage that occurs twice.

The nearness of two texts is the Jaccard index of their runs of three words. Candidates are found by MinHash,
whose hashes are split into bands: near texts share a band.
"""

import itertools
import zlib
from collections.abc import Set
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from rag.text.analyzer import words

NEAR = 0.8
_BANDS = 21
_ROWS = 6
"""Two texts share a band with probability 1 - (1 - nearness^6)^21: 0.998 at `NEAR`, 0.28 at 0.5."""

_BATCH = 10_000
"""Runs hashed at a time: each takes 126 numbers of memory."""

_SEEDS = b"".join(blake2b(bytes([number]), digest_size=16).digest() for number in range(_BANDS * _ROWS))
_FACTORS, _SUMMANDS = np.frombuffer(_SEEDS, "<u8").reshape(-1, 2).T
"""Of the hash functions. They never change: hashes in an index are compared with new ones."""

Shingles = frozenset[tuple[str, ...]]
Hashes = npt.NDArray[np.uint32]


def shingles(text: str) -> Shingles:
    """The runs of three words in the text; for a shorter text, its words as one run."""
    in_order = words(text)
    return frozenset(tuple(in_order[i : i + 3]) for i in range(max(len(in_order) - 2, 1)))


def said_in(text: str) -> str:
    """The words of the text with a blank around each: those of a part of the text are a substring."""
    return " ".join(["", *words(text), ""])


def nearness(first: Set[tuple[str, ...]], second: Set[tuple[str, ...]]) -> float:
    """The Jaccard index of two texts' runs, 0 to 1."""
    return len(first & second) / len(first | second)


def min_hashes(runs: Shingles) -> Hashes:
    """Hashes of shape (126,): the share that two texts have in common estimates their nearness.

    Each is the least value of one hash function over the runs (Broder 1997).
    """
    least = np.full(_BANDS * _ROWS, 2**32 - 1, dtype=np.uint32)
    remaining = iter(runs)
    while batch := [zlib.crc32(" ".join(run).encode()) for run in itertools.islice(remaining, _BATCH)]:
        # Multiply-shift (Dietzfelbinger 1996): the upper half of a product, whose overflow is intended.
        hashed = (np.array(batch, dtype=np.uint64)[:, np.newaxis] * _FACTORS + _SUMMANDS) >> np.uint64(32)
        least = np.minimum(least, hashed.min(axis=0).astype(np.uint32))
    return least


def bands(hashes: Hashes) -> tuple[int, ...]:
    """The 21 keys of 64 bits, of which near texts share one or more."""
    return tuple(
        int.from_bytes(blake2b(bytes([number]) + row.tobytes(), digest_size=8).digest(), signed=True)
        for number, row in enumerate(hashes.reshape(_BANDS, _ROWS))
    )
