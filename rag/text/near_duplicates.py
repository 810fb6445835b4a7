"""Texts that say nearly the same: a wire story that several files tell, a passage that stands twice.

Near is measured by the runs of three words that two texts share, of all that either has (Jaccard). Those that
may be near are found by MinHash, whose hashes are cut into bands: texts that are near share a band.
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
"""Of texts as near as `NEAR` 0.998 share a band, of those as near as 0.5 0.28 (1 - (1 - near^6)^21)."""

_BATCH = 10_000
"""Runs of words hashed at a time: each takes 126 numbers of memory."""

_FACTORS, _SUMMANDS = (
    np.frombuffer(
        b"".join(blake2b(bytes([number]), digest_size=16).digest() for number in range(_BANDS * _ROWS)), "<u8"
    )
    .reshape(-1, 2)
    .T
)
"""Of the hash functions, the same for ever: what an index keeps is compared with what comes."""

Shingles = frozenset[tuple[str, ...]]
Hashes = npt.NDArray[np.uint32]


def shingles(text: str) -> Shingles:
    """The runs of three words in the text; of a shorter text the text."""
    found = words(text)
    return frozenset(tuple(found[i : i + 3]) for i in range(max(len(found) - 2, 1)))


def said_in(text: str) -> str:
    """The words of the text alone, each after a blank: those of a part of it are a part of them."""
    return " ".join(["", *words(text), ""])


def nearness(first: Set[tuple[str, ...]], second: Set[tuple[str, ...]]) -> float:
    """The share that two texts have in common of the runs that either has, 0 to 1."""
    return len(first & second) / len(first | second)


def min_hashes(found: Shingles) -> Hashes:
    """Numbers, of shape (126,), of which two texts have about the share in common that they are near.

    Each is the least that one hash function makes of the runs (Broder 1997).
    """
    least = np.full(_BANDS * _ROWS, 2**32 - 1, dtype=np.uint32)
    runs = iter(found)
    while some := [zlib.crc32(" ".join(run).encode()) for run in itertools.islice(runs, _BATCH)]:
        # The upper half of a product, multiply-shift (Dietzfelbinger 1996): what runs over is meant to.
        hashed = (np.array(some, dtype=np.uint64)[:, np.newaxis] * _FACTORS + _SUMMANDS) >> np.uint64(32)
        least = np.minimum(least, hashed.min(axis=0).astype(np.uint32))
    return least


def bands(hashes: Hashes) -> tuple[int, ...]:
    """The keys, 64 bits each, of which texts that are near share one or more."""
    return tuple(
        int.from_bytes(blake2b(bytes([number]) + row.tobytes(), digest_size=8).digest(), signed=True)
        for number, row in enumerate(hashes.reshape(_BANDS, _ROWS))
    )
