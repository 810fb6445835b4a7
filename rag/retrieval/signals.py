"""Sentences of the passages → what speaks for each of them as a quote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.index.base import About, State, StoredChunk, sentence_cosines
from rag.models.pooling import Vectors
from rag.retrieval.deduplication import newest_versions
from rag.retrieval.query import Query
from rag.retrieval.scoring import METADATA, Wanted, coverage, quote_score
from rag.retrieval.structure import Role
from rag.text.analyzer import joined, line, stems
from rag.text.answer_type import has_answer_of
from rag.text.near_duplicates import said_in
from rag.text.sentences import refers_back
from rag.types import Passage, Sentence, Signals


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """A sentence of a chunk: (start, end) in the document, its stems, its cosine with what is asked."""

    span: tuple[int, int]
    text: str
    stems: str
    cosine: float


@dataclass(frozen=True, slots=True)
class PassageContent:
    """The sentences of a passage with their roles, the facts of its document, its near-duplicates' words."""

    sentences: Sequence[ReadSentence]
    roles: Sequence[Role]
    about: About
    copies: Mapping[str, str]


class Judge:
    """Says what speaks for a sentence as a quote, for one question."""

    def __init__(self, query: Query, sought: Wanted, vector: Vectors, names: Mapping[str, float]) -> None:
        """Judge by what words are worth, by a vector of shape (dimension,), by the rarity of names."""
        self._query = query
        self._sought = sought
        self._vector = vector
        self._names = names

    def sentences(self, state: State, chunks: Sequence[StoredChunk]) -> list[ReadSentence]:
        """The sentences of the chunks in order."""
        return [
            ReadSentence(span, chunk.text[span[0] - chunk.start : span[1] - chunk.start], stems, cosine)
            for chunk, cosines in zip(chunks, sentence_cosines(state, chunks, self._vector), strict=True)
            for span, stems, cosine in zip(chunk.sentences, chunk.stems, cosines, strict=True)
            if span[0] >= chunk.start  # the first may be its context
        ]

    def signals(
        self, passage: Sequence[ReadSentence], roles: Sequence[Role], score: float, *, newest: bool
    ) -> Iterator[Signals]:
        """What speaks for each sentence of a passage of this score as a quote."""
        above = {text: line(stems(text)) for role in roles for text in (role.section, role.led)}
        present = joined([*above.values(), *(sentence.stems for sentence in passage)])
        lacking = max((rarity for name, rarity in self._names.items() if name not in present), default=0.0)
        named = sum(self._names.values())
        before = ""
        for sentence, role in zip(passage, roles, strict=True):
            section, led = above[role.section], above[role.led]
            own = led + sentence.stems
            yield Signals(
                cosine=sentence.cosine,
                covered=coverage(self._sought, own),
                with_before=coverage(self._sought, section + before + own),
                passage=score,
                of_the_kind=has_answer_of(self._query.kind, sentence.text, self._query.stems),
                lacking=lacking,
                section=sum(rarity for name, rarity in self._names.items() if name in section) / named
                if named
                else 0.0,
                newest=newest,
                led=bool(led),
            )
            before = sentence.stems if role.quotable else ""


def candidate_sentences(
    judge: Judge, passages: Sequence[Passage], inside: Sequence[PassageContent]
) -> Iterator[Sentence]:
    """The sentences inside the passages that can be quoted, in order, with what speaks for them."""
    newest = newest_versions(passages)
    for number, (passage, found) in enumerate(zip(passages, inside, strict=True)):
        signals = judge.signals(found.sentences, found.roles, passage.score, newest=number in newest)
        place, last_role = passage.start, None
        for sentence, role, speaking in zip(found.sentences, found.roles, signals, strict=True):
            first, last = sentence.span
            before = passage.text[place - passage.start : first - passage.start]
            if last_role is not None and not _reads_on(last_role, role):
                before = ""
            place, last_role = first, role
            if not role.quotable or (role.metadata and not speaking.of_the_kind):
                continue
            lead_in = before if refers_back(sentence.text) else ""
            yield Sentence(
                number,
                first,
                last,
                sentence.text,
                quote_score(speaking) - METADATA * role.metadata,
                speaking,
                lead_in,
                before,
                page=found.about.page(first),
                copies=copies_with(sentence.text, found.copies),
                led_page=found.about.page(first - len(lead_in)) if lead_in else None,
                led_copies=copies_with(lead_in + sentence.text, found.copies) if lead_in else (),
                context=": ".join(filter(None, [role.headings, role.led])),
                whole=role.whole,
            )


def _reads_on(before: Role, role: Role) -> bool:
    """Whether a sentence of the one role reads on in that of the other, as in two paragraphs of a section."""
    return before.block == role.block or (before.block.kind, role.block.kind) == ("paragraph", "paragraph")


def copies_with(text: str, copies: Mapping[str, str]) -> tuple[str, ...]:
    """Which of the documents, given by their words, have the text word for word."""
    said = said_in(text)
    return tuple(copy for copy, words in copies.items() if said in words)
