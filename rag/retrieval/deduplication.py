"""Ranked chunks → those that say something new."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.index.base import StoredChunk
from rag.text.near_duplicates import NEAR, Shingles, nearness, shingles
from rag.types import Passage

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk and its score."""

    chunk: StoredChunk
    score: float


def without_copies(ranked: Iterable[ScoredChunk]) -> Iterator[ScoredChunk]:
    """The chunks, in order, that don't say the same as an earlier one.

    Chunks of near-duplicate documents count as the same if they share half of the shorter one: such documents
    are cut at other places. What has another number or date is another version, and no copy.
    """
    seen: list[tuple[StoredChunk, Shingles, frozenset[str]]] = []
    for found in ranked:
        chunk, said, numbers = found.chunk, shingles(found.chunk.text), _numbers(found.chunk.text)
        if not any(_same(chunk, said, numbers, *other) for other in seen):
            seen.append((chunk, said, numbers))
            yield found


def newest_versions(passages: Sequence[Passage]) -> frozenset[int]:
    """The passages, by number, of which others are older versions: nearly the same, with other numbers."""
    said = [shingles(_NUMBER.sub("", passage.text)) for passage in passages]
    dates = [_dated(passage) for passage in passages]
    newest = set()
    for number, date in enumerate(dates):
        others = [
            other
            for at, other in enumerate(dates)
            if at != number and other and nearness(said[number], said[at]) >= NEAR
        ]
        if date and others and date > max(others):
            newest.add(number)
    return frozenset(newest)


def _dated(passage: Passage) -> str:
    """The document's date, or the last year in its name or title; "" where there is none."""
    years = _YEAR.findall(f"{passage.source} {passage.title or ''}")
    return passage.date or max(years, default="")


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBER.findall(text))


def _same(
    chunk: StoredChunk,
    said: Shingles,
    numbers: frozenset[str],
    other: StoredChunk,
    other_said: Shingles,
    other_numbers: frozenset[str],
) -> bool:
    if numbers - other_numbers and other_numbers - numbers:
        return False
    if chunk.group == other.group and chunk.source != other.source:
        return 2 * len(said & other_said) >= min(len(said), len(other_said))
    return nearness(said, other_said) >= NEAR
