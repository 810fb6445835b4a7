"""Question → passages: dense and keyword search bring chunks; the best are shown with what is around them."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rag.index.base import About, Index, State, StoredChunk, Weighable, sentence_cosines
from rag.models.cpu import cpu_count
from rag.models.embedder import Embedder, Reranker
from rag.models.pooling import Vectors, unit
from rag.retrieval.expansion import widened
from rag.retrieval.scoring import Shares, Wanted, coverage, mixed, passage_score, quote_score, wanted
from rag.text.analyzer import joined, line, names, stem, terms
from rag.text.answer_type import asked_for, has_answer_of
from rag.text.chunking import MAX_CHARS, MAX_TOKENS
from rag.text.near_duplicates import NEAR, Shingles, nearness, said_in, shingles
from rag.text.sentences import refers_back
from rag.types import Match, Passage, Scope, Sentence, Signals

CANDIDATES = 50
"""How many chunks each search brings."""

RERANKED = 20
"""How many passages a reranker reads."""

_FEW = 1
"""So many chunks are taken to have a word, where it isn't known how many have."""

_READ = 8
"""How many of the best are read at a time: a few may be copies of others."""

TOPIC_WEIGHT = 0.35
TOPIC_WEIGHT_GOES_ON = 1.0
"""What the turns before count against the question, and where it can't be understood without them.

Of 141 questions that end a conversation, hit@5 is 0.908 for the question alone, 0.922 with the last question
put before those that go on, and 0.965 with these weights. After other people's turns 0.35 does no harm.
"""


class Retrieval:
    """What the index has for a question: the passages, best first."""

    def __init__(self, passages: Sequence[Passage], sentences: Callable[[], Iterable[Sentence]]) -> None:
        """Keep the passages; their sentences are only weighed when somebody wants to quote them."""
        self.passages = tuple(passages)
        self._weighed = sentences

    @functools.cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences of all passages in order."""
        return tuple(self._weighed())


@dataclass(frozen=True, slots=True)
class _Scored:
    """A chunk and its score."""

    chunk: StoredChunk
    score: float


_Worded = tuple[Weighable, Shares]
"""What a chunk is weighed by, and how much of what is sought is in its words."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a chunk: (start, end) in the document, its stems, its cosine with what is asked."""

    span: tuple[int, int]
    text: str
    stems: str
    cosine: float


@dataclass(frozen=True, slots=True)
class _Inside:
    """The sentences of a passage, what its document says of itself, and the words of its copies."""

    sentences: Sequence[_Sentence]
    about: About
    copies: Mapping[str, str]


class Retriever:
    """Finds passages in an index with the embedder that built it. Any thread may use it."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        reranker: Reranker | None = None,
        *,
        keyword: bool = True,
    ) -> None:
        """Join them. `keyword` is whether to search by words too, and to know how rare they are."""
        self.index = index
        self.embedder = embedder
        self._reranker = reranker
        self._keyword = keyword
        self._aside = ThreadPoolExecutor(cpu_count(), thread_name_prefix="embedding")

    def retrieve(
        self,
        question: str,
        k: int,
        *,
        topic: str = "",
        goes_on: bool = False,
        scope: Scope | None = None,
    ) -> Retrieval:
        """At most k passages, all from one state of the index; fewer when it has fewer.

        `topic` is what the conversation was about, `goes_on` says that the question can't be understood
        without it (see `rag.retrieval.conversation`). With `scope`, of the documents in it alone.
        """
        embedding = self._aside.submit(self.embedder.embed, [question, topic] if topic else [question])
        searched = f"{topic} {question}" if topic else question
        enough = k if self._reranker is None else max(k, RERANKED)
        with self.index.open() as state:
            sought = quoted = self.sought_by(question, state)
            named = {line([name]): sought.rarity.get(line([name]), 0.0) for name in names(question)}
            if goes_on:
                sought = quoted = self.sought_by(searched, state)
            elif topic:
                sought = mixed(sought, self.sought_by(topic, state), TOPIC_WEIGHT)
            count = state.chunk_count()
            width = min(max(CANDIDATES, 2 * enough), count)
            vector = None
            keyword: list[tuple[int, float]] = []
            worded: dict[int, _Worded] = {}
            while True:
                # What words find is weighed while the question is being embedded.
                if self._keyword:
                    keyword = state.keyword_search(terms(searched), width, scope)
                    worded |= _worded(state, sought, dict(keyword).keys() - worded.keys())
                if vector is None:
                    vector, *about = embedding.result()
                    wider = vector
                    if topic:
                        weight = TOPIC_WEIGHT_GOES_ON if goes_on else TOPIC_WEIGHT
                        wider = unit(vector + weight * about[0])
                dense = state.dense_search(wider, width, scope)
                worded |= _worded(state, sought, dict(dense).keys() - worded.keys())
                ranked = _ranked(state, [*worded.values()], wider)
                best = list(itertools.islice(without_copies(_read(state, ranked)), enough))
                if len(best) == enough or len(dense) < width or width == count:
                    break
                width = min(4 * width, count)  # what was found is copies of a few passages: look further
            if self._reranker is not None:
                best = _reranked(best, self._reranker.scores(question, [found.chunk.text for found in best]))
            best = best[:k]
            shown = [found.chunk.id for found in best]
            cosines = zip(shown, state.cosines(wider, shown), strict=True)
            judge = _Judge(question, quoted, wider if goes_on else vector, named)
            return self._shown(
                state, judge, best, _matches(cosines, dense), _matches(keyword, keyword), scope
            )

    def sought_by(self, question: str, state: State) -> Wanted:
        """What the question's words are worth: each ln(1 + chunks / (1 + chunks that have it)).

        Without keyword search, which knows how many have it, all are worth the same.
        """
        asked = terms(question)
        chunks_with = state.chunks_with(asked) if self._keyword else dict.fromkeys(asked, _FEW)
        count = state.chunk_count()
        rarity = {stem(term): math.log1p(count / (1 + having)) for term, having in chunks_with.items()}
        return wanted(question, rarity)

    def _shown(
        self,
        state: State,
        judge: "_Judge",
        best: Sequence[_Scored],
        dense: Mapping[int, Match],
        keyword: Mapping[int, Match],
        scope: Scope | None,
    ) -> Retrieval:
        """The chunks as passages, each widened as far as the others leave room, to no more than a chunk."""
        spans = [(found.chunk.start, found.chunk.end) for found in best]
        passages: list[Passage] = []
        inside: list[_Inside] = []
        for number, (found, near) in enumerate(
            zip(best, state.around([one.chunk for one in best], MAX_CHARS), strict=True)
        ):
            source, (start, end) = found.chunk.source, spans[number]
            document = found.chunk.document
            around = judge.sentences(state, near)
            taken = [
                span
                for other, span in enumerate(spans)
                if other != number and best[other].chunk.source == source
            ]
            start, end = widened(
                (start, end), [sentence.span for sentence in around], taken, max_chars=MAX_CHARS
            )
            text = found.chunk.text
            if (start, end) != spans[number]:
                text = state.text(document, start, end)
                if self.embedder.count_tokens([text])[0] > MAX_TOKENS:
                    (start, end), text = spans[number], found.chunk.text
            spans[number] = start, end
            about = state.about(document)
            copies = {copy: said_in(words) for copy, words in state.copies(document, scope).items()}
            passages.append(
                Passage(
                    source,
                    start,
                    end,
                    text,
                    found.score,
                    dense=dense[found.chunk.id],
                    keyword=keyword.get(found.chunk.id),
                    title=about.title,
                    date=about.date,
                    page=about.page(start),
                    copies=_saying(text, copies),
                )
            )
            within = [s for s in around if start <= s.span[0] and s.span[1] <= end]
            inside.append(_Inside(within, about, copies))
        return Retrieval(passages, functools.partial(_sentences, judge, passages, inside))


class _Judge:
    """Says what speaks for a sentence as a quote, for one question."""

    def __init__(self, question: str, sought: Wanted, vector: Vectors, names: Mapping[str, float]) -> None:
        """Judge by what words are worth, by a vector of shape (dimension,), by the rarity of names."""
        self._question = question
        self._kind = asked_for(question)
        self._sought = sought
        self._vector = vector
        self._names = names

    def sentences(self, state: State, chunks: Sequence[StoredChunk]) -> list[_Sentence]:
        """The sentences of the chunks in order."""
        return [
            _Sentence(span, chunk.text[span[0] - chunk.start : span[1] - chunk.start], stems, cosine)
            for chunk, cosines in zip(chunks, sentence_cosines(state, chunks, self._vector), strict=True)
            for span, stems, cosine in zip(chunk.sentences, chunk.stems, cosines, strict=True)
        ]

    def signals(self, passage: Sequence[_Sentence], score: float) -> Iterator[Signals]:
        """What speaks for each sentence of a passage of this score as a quote."""
        present = joined(sentence.stems for sentence in passage)
        lacking = max((rarity for name, rarity in self._names.items() if name not in present), default=0.0)
        before = ""
        for sentence in passage:
            yield Signals(
                cosine=sentence.cosine,
                covered=coverage(self._sought, sentence.stems),
                with_before=coverage(self._sought, before + sentence.stems),
                passage=score,
                of_the_kind=has_answer_of(self._kind, sentence.text, self._question),
                lacking=lacking,
            )
            before = sentence.stems


def _sentences(judge: _Judge, passages: Sequence[Passage], inside: Sequence[_Inside]) -> Iterator[Sentence]:
    """The sentences inside the passages in order, with what speaks for them."""
    for number, (passage, found) in enumerate(zip(passages, inside, strict=True)):
        place = passage.start
        signals = judge.signals(found.sentences, passage.score)
        for sentence, speaking in zip(found.sentences, signals, strict=True):
            first, last = sentence.span
            before = passage.text[place - passage.start : first - passage.start]
            lead_in = before if refers_back(sentence.text) else ""
            yield Sentence(
                number,
                first,
                last,
                sentence.text,
                quote_score(speaking),
                speaking,
                lead_in,
                before,
                page=found.about.page(first),
                copies=_saying(sentence.text, found.copies),
                led_page=found.about.page(first - len(lead_in)) if lead_in else None,
                led_copies=_saying(lead_in + sentence.text, found.copies) if lead_in else (),
            )
            place = first


def _worded(state: State, sought: Wanted, ids: Iterable[int]) -> dict[int, _Worded]:
    """The chunks of these ids, with how much of what is sought is in their words."""
    return {chunk.id: (chunk, sought.shares(chunk.stems)) for chunk in state.weighables(sorted(ids))}


def _ranked(state: State, found: Sequence[_Worded], vector: Vectors) -> list[tuple[int, float]]:
    """The ids of the chunks with their scores, best first."""
    cosines = sentence_cosines(state, [chunk for chunk, _ in found], vector)
    scored = [
        (
            -passage_score([*zip(of_sentences, shares.lines, strict=True)], shares.covered, shares.in_order),
            chunk.order,
            chunk.id,
        )
        for (chunk, shares), of_sentences in zip(found, cosines, strict=True)
    ]
    return [(chunk, -less) for less, _, chunk in sorted(scored)]


def _read(state: State, ranked: Sequence[tuple[int, float]]) -> Iterator[_Scored]:
    """The chunks of these ids in order, read from the store as they are asked for, some at a time."""
    for first in range(0, len(ranked), _READ):
        some = ranked[first : first + _READ]
        chunks = state.chunks([chunk for chunk, _ in some])
        yield from (_Scored(chunk, score) for chunk, (_, score) in zip(chunks, some, strict=True))


def _saying(text: str, copies: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the documents, given by their words, that say the text word for word."""
    said = said_in(text)
    return tuple(copy for copy, words in copies.items() if said in words)


def _matches(scores: Iterable[tuple[int, float]], ranked: Sequence[tuple[int, float]]) -> dict[int, Match]:
    """The scores with their ranks, for those that are among the ranked."""
    ranks = {chunk: rank for rank, (chunk, _) in enumerate(ranked, 1)}
    return {chunk: Match(ranks.get(chunk), score) for chunk, score in scores}


def _reranked(found: Sequence[_Scored], scores: Sequence[float]) -> list[_Scored]:
    """In the order of these scores, best first, which become theirs."""
    scored = [replace(one, score=score) for one, score in zip(found, scores, strict=True)]
    return sorted(scored, key=lambda one: -one.score)


def without_copies(ranked: Iterable[_Scored]) -> Iterator[_Scored]:
    """Those in order that don't say the same as an earlier one.

    Chunks of documents that tell the same story are the same from half of the shorter one on: they are cut
    at other places.
    """
    seen: list[tuple[StoredChunk, Shingles]] = []
    for found in ranked:
        chunk, said = found.chunk, shingles(found.chunk.text)
        if not any(_same(chunk, said, *other) for other in seen):
            seen.append((chunk, said))
            yield found


def _same(chunk: StoredChunk, said: Shingles, other: StoredChunk, other_said: Shingles) -> bool:
    if chunk.story == other.story and chunk.source != other.source:
        return 2 * len(said & other_said) >= min(len(said), len(other_said))
    return nearness(said, other_said) >= NEAR
