"""Question → passages: dense and keyword search, fused; copies of a passage collapsed."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.encoders import Embedder, Reranker, Vectors
from rag.index import Index
from rag.store import Snapshot
from rag.types import Passage
from rag.words import stem, terms, words

CANDIDATES = 50
"""How many chunks each search brings to the fusion."""

KEYWORD_WEIGHT = 0.5
"""The keyword score's share of the fused score, against the cosine's."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What the index has for a question: the passages, best first, and what to judge them by.

    `vector` is the question's, float32 of shape (dimension,), length 1. `rarity` maps each stem of
    the question's words to ln(1 + chunks / (1 + chunks that have it)).
    """

    passages: tuple[Passage, ...]
    vector: Vectors
    rarity: Mapping[str, float]


class Retriever:
    """Finds passages in an index with the embedder that built it. Any thread may use it."""

    def __init__(self, index: Index, embedder: Embedder, reranker: Reranker | None = None) -> None:
        """Join them."""
        self._index = index
        self.embedder = embedder
        self._reranker = reranker

    def retrieve(self, question: str, k: int) -> Retrieval:
        """At most k passages, all from one state of the index; fewer when it has fewer."""
        vector = self.embedder.embed([question])[0]
        searched = terms(question)
        with self._index.open() as (snapshot, vectors):
            count = snapshot.chunk_count()
            rarity = {stem(term): math.log1p(count / (1 + snapshot.chunks_with(term))) for term in searched}
            width = max(CANDIDATES, 2 * k)
            while True:
                dense = vectors.search(vector, width)
                keyword = snapshot.keyword_search(searched, width)
                nearest = {chunk for chunk, _ in dense}
                others = [chunk for chunk, _ in keyword if chunk not in nearest]
                cosines = dense + list(zip(others, vectors.cosines(vector, others), strict=True))
                passages = _distinct(snapshot, fuse(cosines, keyword), k)
                if len(passages) == k or width >= count:
                    break
                width *= 4  # what was found is copies of a few passages: look further
        return Retrieval(passages, vector, rarity)


def _distinct(snapshot: Snapshot, fused: Mapping[int, float], k: int) -> tuple[Passage, ...]:
    """The first k of the fused chunks, copies left out."""
    kept: tuple[Passage, ...] = ()
    chunks = iter(fused.items())
    while len(kept) < k and (batch := dict(itertools.islice(chunks, k))):
        kept = without_copies([*kept, *snapshot.passages(batch)])
    return kept[:k]


def fuse(cosines: Sequence[tuple[int, float]], keyword: Sequence[tuple[int, float]]) -> dict[int, float]:
    """(chunk id, cosine) and (chunk id, BM25) → id: score from 0 to 1, best first.

    A weighted mean of the cosine and of BM25 divided by its best: rank fusion, which throws the
    distances away, measured worse than BM25 alone.
    """
    best = max((score for _, score in keyword), default=0.0) or 1.0
    relative = {chunk: score / best for chunk, score in keyword}
    fused = {
        chunk: (1 - KEYWORD_WEIGHT) * max(cosine, 0.0) + KEYWORD_WEIGHT * max(relative.get(chunk, 0.0), 0.0)
        for chunk, cosine in cosines
    }
    return dict(sorted(fused.items(), key=lambda item: (-item[1], item[0])))


def without_copies(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The passages in order, without those that say the same words as an earlier one."""
    kept: list[Passage] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    for passage in passages:
        shingles = _shingles(passage.text)
        if all(len(shingles & other) < 0.8 * len(shingles | other) for other in seen):
            kept.append(passage)
            seen.append(shingles)
    return tuple(kept)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    found = words(text)
    return frozenset(tuple(found[i : i + 3]) for i in range(max(len(found) - 2, 1)))
