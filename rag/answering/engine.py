"""Question → answer: joins the stages and streams what they find.

question → passages → evidence → reading → confidence → the model's choice or words → quotes → answer
"""

import os
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rag.answering.composition import Dropped
from rag.answering.confidence import confidence
from rag.answering.evidence import considered, ranked
from rag.answering.faithfulness import unsupported
from rag.answering.quotes import Short
from rag.answering.sentence_reranking import READ, marked, read
from rag.answering.short_answer import short_answer
from rag.answering.synthesis import LeftOut, Prompted, Step, Writer
from rag.errors import QuestionError
from rag.index.excerpts import Excerpt, Opened, excerpt, opened
from rag.llm.prompts import Templates
from rag.llm.worker import Worker
from rag.models.reader import Reader
from rag.retrieval.conversation import Asked, History, in_context
from rag.retrieval.filters import Date, scope
from rag.retrieval.retriever import Retrieval, Retriever
from rag.settings import Mode
from rag.types import Answer, Citation, Event, Passage, Scope, Sentence, Waiting

PASSAGES = 5
"""How many passages an answer is looked for in."""

MAX_QUESTION_CHARS = 4_000
GATE = 1.3
"""The least score of the best sentence for which anything bears on the question at all.

On SQuAD 2 it keeps 200 of 200 answerable questions, and declines 199 of 200 asked of other documents.
"""

ABSTENTION = "The documents don't say."
NOTHING_DATED = "no document has a date in that range"
NONE_CHOSEN_DATED = "none of the chosen documents has a date in that range"
NOTHING_BEARS = "nothing in the documents bears on the question"
NONE_ANSWERS = "no sentence of the documents answers the question"
NO_ROOM = "no sentence that bears on the question fits the language model's context"


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
        bears out, `auto` what it is large enough for. A question is answered when the confidence is at least
        `threshold`; with 0 whatever is nearest is quoted.
        """
        self._retriever = retriever
        self._reader = reader
        self._worker = worker
        self._model_name = model_name
        self._threshold = threshold
        # More at once would only take each other's time, and that of the server they are asked through.
        self._turns = threading.Semaphore(os.cpu_count() or 1)
        self._writer = Writer(
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

        With `since` or `until`, from documents with such a date alone; with `sources`, from these alone (see
        `rag.retrieval.filters`).
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
        timings: dict[str, float] = {}
        typed = asked = _asked(question, history)
        within = scope(since, until, sources)
        if asked.goes_on and self._may_rewrite():
            with _timed(timings, "rewrite"):
                asked = yield from self._rewritten(asked, stop)
        with self._turns, _timed(timings, "retrieve"):
            retrieval = _retrieved(self._retriever, asked, PASSAGES, within)
        yield retrieval.passages
        if stop.is_set():
            return

        sentences = ranked(retrieval.sentences)
        bears = bool(sentences) and (self._threshold == 0 or sentences[0].score >= GATE)
        if bears and self._reader is not None:
            with self._turns, _timed(timings, "read"):
                sentences = read(self._reader, asked.text, sentences)
        sure = confidence(asked.question, sentences) if sentences else 0.0
        steps: list[Step] = []
        reason = NONE_ANSWERS
        if within is not None and not retrieval.passages:
            reason = NOTHING_DATED if within.sources is None else NONE_CHOSEN_DATED
        elif not bears:
            reason = NOTHING_BEARS
        elif sure >= self._threshold:
            with _timed(timings, "generate"):
                answering = self._writer.answering(asked, sentences, retrieval.passages)
                for step in self._worker.run(answering, stop=stop):
                    if isinstance(step, Waiting | str):
                        yield step
                    if not isinstance(step, Waiting):
                        steps.append(step)
        if stop.is_set():
            return
        citations = tuple(step for step in steps if isinstance(step, Citation))
        left_out = next((step for step in steps if isinstance(step, LeftOut)), LeftOut(0, of=1))
        prompted = next((step for step in steps if isinstance(step, Prompted)), Prompted())
        if not citations:
            reason = NO_ROOM if left_out.sentences == left_out.of else reason
            yield ABSTENTION
        yield Answer(
            question=question,
            text="".join(step for step in steps if isinstance(step, str)) if citations else ABSTENTION,
            short=next((step.text for step in steps if isinstance(step, Short)), None),
            citations=citations,
            passages=retrieval.passages,
            abstained=None if citations else reason,
            model=self._model_name,
            timings=timings,
            confidence=sure,
            taken_as=asked.text if asked.text != typed.question else None,
            left_out=left_out.sentences,
            dropped=sum(isinstance(step, Dropped) for step in steps),
            evidence=considered(sentences[:READ], retrieval.passages, prompted.sentences),
            prompt_tokens=prompted.tokens,
            guarantee="location" if prompted.located else "grammar",
        )

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
        """Whether the model may put a question anew: as far as is known before it is loaded."""
        model = self._worker.model
        return self._writer.mode != "quote" and (model is None or self._writer.composes(model))

    def _rewritten(self, asked: Asked, stop: threading.Event) -> Generator[Event, None, Asked]:
        """The question as a capable model puts it to be understood alone; as it is from another model."""
        text = ""
        for step in self._worker.run(self._writer.rewriting(asked), stop=stop):
            if isinstance(step, Waiting):
                yield step
            else:
                text += step
        text = " ".join(text.split())
        return replace(asked, question=text, text=text, goes_on=False) if text else asked

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
    """The k passages nearest to the question, best first; fewer when there are fewer.

    With `since` or `until`, of documents with such a date; with `sources`, of these alone (see
    `rag.retrieval.filters`).
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise QuestionError(f"k is {k!r}; ask for 1 passage or more.")
    return _retrieved(retriever, _asked(question, history), k, scope(since, until, sources)).passages


def _retrieved(retriever: Retriever, asked: Asked, k: int, within: Scope | None) -> Retrieval:
    return retriever.retrieve(asked.question, k, topic=asked.topic, goes_on=asked.goes_on, scope=within)


def _short_answer(question: str, sentence: Sentence) -> str | None:
    if sentence.reading is None:
        return short_answer(question, sentence.text)
    return marked(sentence, sentence.reading)


def _asked(question: str, history: History) -> Asked:
    """The question in its conversation; `QuestionError` if it can't be asked."""
    asked = in_context(_checked(question), history)
    return replace(asked, text=asked.text[-MAX_QUESTION_CHARS:])


def _checked(question: str) -> str:
    """The question if it can be asked; else `QuestionError`."""
    if not isinstance(question, str) or not question.strip():
        raise QuestionError("The question is empty. Type one.")
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARS:,} can be asked. "
            "Shorten it."
        )
    return question


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - began
