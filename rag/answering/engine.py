"""Question → answer: joins the stages and streams what they find.

query → passages → evidence → reranked sentences → confidence → the model's choice or words → quotes → answer
"""

import os
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag.answering.composition import Dropped
from rag.answering.confidence import confidence
from rag.answering.evidence import considered, ranked
from rag.answering.faithfulness import unsupported
from rag.answering.quotes import Short, wholes
from rag.answering.sentence_reranking import READ, marked, read
from rag.answering.short_answer import short_answer
from rag.answering.synthesis import LeftOut, Prompted, Step, Synthesizer
from rag.errors import QuestionError
from rag.index.excerpts import Excerpt, Opened, excerpt, opened
from rag.llm.prompts import Templates
from rag.llm.worker import Worker
from rag.models.reader import Reader
from rag.retrieval.conversation import History, encodable
from rag.retrieval.filters import Date, scope
from rag.retrieval.query import Query, analyse, reworded
from rag.retrieval.retriever import Retrieval, Retriever
from rag.settings import Mode
from rag.types import Answer, Citation, Event, Passage, Sentence, Waiting

PASSAGES = 5
"""How many passages an answer is looked for in."""

GATE = 1.3
"""The least score of the best sentence for which anything bears on the question at all.

On SQuAD 2 it keeps 200 of 200 answerable questions, and declines 199 of 200 asked of other documents.
"""

GATE_LED = 1.1
"""The same for a row of a table, or an item of a list, whose few words lack what its header says."""

ABSTENTION = "The documents don't say."
NOTHING_DATED = "no document has a date in that range"
NONE_CHOSEN_DATED = "none of the chosen documents has a date in that range"
NOTHING_BEARS = "nothing in the documents bears on the question"
NONE_ANSWERS = "no sentence of the documents answers the question"
NO_ROOM = "no sentence that bears on the question fits the language model's context"


@dataclass(slots=True)
class _Draft:
    """An answer while it is made: what the stages have found so far."""

    asked: str
    typed: str
    query: Query
    timings: dict[str, float] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    confidence: float = 0.0
    reason: str | None = None
    text: str = ""
    short: str | None = None
    citations: list[Citation] = field(default_factory=list)
    dropped: int = 0
    left_out: LeftOut = field(default_factory=lambda: LeftOut(0, of=1))
    prompted: Prompted = field(default_factory=Prompted)

    def take(self, step: Step) -> None:
        """Add what the writing yields."""
        match step:
            case str():
                self.text += step
            case Citation():
                self.citations.append(step)
            case Short():
                self.short = step.text
            case Dropped():
                self.dropped += 1
            case LeftOut():
                self.left_out = step
            case Prompted():
                self.prompted = step

    def answer(self, model: str) -> Answer:
        """The answer, or the abstention where there is no citation."""
        reason = None
        if not self.citations:
            no_room = self.left_out.sentences == self.left_out.of
            reason = self.reason or (NO_ROOM if no_room else NONE_ANSWERS)
        return Answer(
            question=self.asked,
            text=self.text if self.citations else ABSTENTION,
            short=self.short,
            citations=tuple(self.citations),
            passages=self.passages,
            abstained=reason,
            model=model,
            timings=self.timings,
            confidence=self.confidence,
            taken_as=self.query.text if self.query.text != self.typed else None,
            left_out=self.left_out.sentences,
            dropped=self.dropped,
            evidence=considered(self.sentences[:READ], self.passages, self.prompted.sentences),
            prompt_tokens=self.prompted.tokens,
            guarantee="location" if self.prompted.located else "grammar",
        )


class Engine:
    """Answers questions from one index with one language model. Any thread may ask."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        reader: Reader | None,
        worker: Worker,
        model_name: str,
        templates: Templates,
        mode: Mode,
        threshold: float,
    ) -> None:
        """Join the parts (see `rag.wiring`, which makes them from settings).

        `mode` is what the model may write: `quote` quotes alone, `compose` sentences of its own that a quote
        supports, `auto` what it is large enough for. A question is answered when the confidence is at least
        `threshold`; with 0 whatever is nearest is quoted.
        """
        self._retriever = retriever
        self._reader = reader
        self._worker = worker
        self._model_name = model_name
        self._threshold = threshold
        # More at once would only take each other's time, and that of the server they are asked through.
        self._turns = threading.Semaphore(os.cpu_count() or 1)
        self._synthesizer = Synthesizer(
            templates,
            mode,
            may_refuse=threshold > 0,
            unsupported=self._unsupported,
            short_answer=_short_answer,
        )

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        history: History = (),
        since: Date | None = None,
        until: Date | None = None,
        sources: Sequence[str] | None = None,
    ) -> tuple[Passage, ...]:
        """The k passages nearest to the question, best first; fewer when there are fewer.

        With `since` or `until`, of documents with such a date; with `sources`, of these alone (see
        `rag.retrieval.filters`).
        """
        return search(
            self._retriever, question, k=k, history=history, since=since, until=until, sources=sources
        )

    def answer(
        self,
        question: str,
        *,
        history: History = (),
        since: Date | None = None,
        until: Date | None = None,
        sources: Sequence[str] | None = None,
    ) -> Answer:
        """The answer, or the abstention; `history` is (question, answer text) pairs, oldest first.

        `since`, `until` and `sources` as in `search`.
        """
        for event in self.stream(question, history=history, since=since, until=until, sources=sources):
            if isinstance(event, Answer):
                return event
        raise AssertionError("a stream ends with its Answer")

    def stream(
        self,
        question: str,
        *,
        history: History = (),
        since: Date | None = None,
        until: Date | None = None,
        sources: Sequence[str] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """The passages, then the text as it is written, then the `Answer`, whose text is that text.

        `Waiting` comes while the language model answers other questions. Closing the iterator stops the
        computation. So does another thread that sets `stop`: the iterator ends then, without an answer.
        """
        stop = stop or threading.Event()
        query = analyse(question, history=history, scope=scope(since, until, sources))
        draft = _Draft(question, encodable(question), query)
        if query.continues and self._may_rewrite():
            yield from self._reword(draft, stop)
        retrieval = self._retrieve(draft)
        yield draft.passages
        if stop.is_set():
            return
        draft.reason = self._read(draft, retrieval)
        if draft.reason is None:
            yield from self._write(draft, stop)
        if stop.is_set():
            return
        answer = draft.answer(self._model_name)
        if answer.abstained is not None:
            yield ABSTENTION
        yield answer

    def generation(self) -> str:
        """The name of the index's state now; each build that changes something makes another."""
        return self._retriever.index.generation()

    def open(self, citation: Citation) -> Opened:
        """The cited document as it is indexed now, and whether the quote still stands where it stood."""
        return opened(
            self._retriever.index,
            citation.source,
            citation.start,
            citation.end,
            quote=citation.quote,
            page=citation.page,
        )

    def open_at(self, source: str, start: int, end: int) -> Opened:
        """The document as it is indexed now, at these offsets, or at None if it doesn't go so far."""
        return opened(self._retriever.index, source, start, end)

    def text(self, source: str, *, start: int = 0, end: int | None = None) -> Excerpt:
        """The document of this name from `start` to `end` as it is indexed now (see `rag.index.excerpts`)."""
        return excerpt(self._retriever.index, source, start, end)

    def _may_rewrite(self) -> bool:
        """Whether the model may reword a question: as far as is known before it is loaded."""
        model = self._worker.model
        return self._synthesizer.mode != "quote" and (model is None or self._synthesizer.composes(model))

    def _reword(self, draft: _Draft, stop: threading.Event) -> Generator[Event, None, None]:
        """The question as a capable model puts it to be understood alone; as it is from another model."""
        text = ""
        with _timed(draft.timings, "rewrite"):
            for step in self._worker.run(self._synthesizer.rewriting(draft.query), stop=stop):
                if isinstance(step, Waiting):
                    yield step
                else:
                    text += step
        if text := " ".join(text.split()):
            draft.query = reworded(draft.query, text)

    def _retrieve(self, draft: _Draft) -> Retrieval:
        with self._turns, _timed(draft.timings, "retrieve"):
            retrieval = self._retriever.retrieve(draft.query, PASSAGES)
        draft.passages = retrieval.passages
        return retrieval

    def _read(self, draft: _Draft, retrieval: Retrieval) -> str | None:
        """Rank the sentences and judge the best one; why there is no answer, None where there may be one."""
        draft.sentences = ranked(retrieval.sentences)
        gate = GATE_LED if draft.sentences and draft.sentences[0].signals.led else GATE
        bears = bool(draft.sentences) and (self._threshold == 0 or draft.sentences[0].score >= gate)
        if bears and self._reader is not None:
            with self._turns, _timed(draft.timings, "read"):
                draft.sentences = read(self._reader, draft.query.text, draft.sentences)
        draft.sentences = wholes(draft.sentences)
        if draft.sentences:
            draft.confidence = confidence(draft.query.question, draft.sentences)
        scope = draft.query.scope
        if scope is not None and not draft.passages:
            return NOTHING_DATED if scope.sources is None else NONE_CHOSEN_DATED
        if not bears:
            return NOTHING_BEARS
        return None if draft.confidence >= self._threshold else NONE_ANSWERS

    def _write(self, draft: _Draft, stop: threading.Event) -> Iterator[Event]:
        work = self._synthesizer.answering(draft.query, draft.sentences, draft.passages)
        with _timed(draft.timings, "generate"):
            for step in self._worker.run(work, stop=stop):
                if isinstance(step, Waiting | str):
                    yield step
                if not isinstance(step, Waiting):
                    draft.take(step)

    def _unsupported(self, claim: str, quote: str) -> str | None:
        def similarity(*texts: str) -> float:
            first, second = self._retriever.embedder.embed(texts)
            return float(first @ second)

        return unsupported(claim, quote, similarity)


def search(
    retriever: Retriever,
    question: str,
    *,
    k: int,
    history: History = (),
    since: Date | None = None,
    until: Date | None = None,
    sources: Sequence[str] | None = None,
) -> tuple[Passage, ...]:
    """See `Engine.search`, which needs no language model for it."""
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise QuestionError(f"k is {k!r}; ask for 1 passage or more.")
    query = analyse(question, history=history, scope=scope(since, until, sources))
    return retriever.retrieve(query, k).passages


def _short_answer(question: str, sentence: Sentence) -> str | None:
    if sentence.reading is None:
        return short_answer(question, sentence.text)
    return marked(sentence, sentence.reading)


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - began
