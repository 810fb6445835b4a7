"""Ranked chunks → those that say something new."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rag.index.base import StoredChunk
from rag.text.near_duplicates import NEAR, Shingles, nearness, shingles


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk and its score."""

    chunk: StoredChunk
    score: float


def without_copies(ranked: Iterable[ScoredChunk]) -> Iterator[ScoredChunk]:
    """The chunks, in order, that don't say the same as an earlier one.

    Chunks of near-duplicate documents count as the same if they share half of the shorter one: such documents
    are cut at other places.
    """
    seen: list[tuple[StoredChunk, Shingles]] = []
    for found in ranked:
        chunk, said = found.chunk, shingles(found.chunk.text)
        if not any(_same(chunk, said, *other) for other in seen):
            seen.append((chunk, said))
            yield found


def _same(chunk: StoredChunk, said: Shingles, other: StoredChunk, other_said: Shingles) -> bool:
    if chunk.group == other.group and chunk.source != other.source:
        return 2 * len(said & other_said) >= min(len(said), len(other_said))
    return nearness(said, other_said) >= NEAR
