"""Question → answer: joins the stages and streams what they find.

question → passages → evidence → gate → prompt + grammar → generation → quotes → answer
"""

import string
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

from rag.errors import QuestionError
from rag.evidence import ranked, within_budget
from rag.followup import History, standalone
from rag.generation import LanguageModel
from rag.grammar import quote_grammar
from rag.prompt import render
from rag.quotes import read_quotes
from rag.retrieval import Retriever
from rag.sentences import MAX_CHARS as MAX_QUOTE_CHARS
from rag.types import Answer, Citation, Event, Passage, Sentence
from rag.worker import Worker

PASSAGES = 5
"""How many passages an answer is looked for in."""

MAX_QUESTION_CHARS = 4_000
EVIDENCE_TOKENS = 300
"""A small model reads 250 prompt tokens better than 1,300, and sooner."""

EVIDENCE_SENTENCES = 6
MAX_QUOTES = 3
GATE = 1.3
"""The least score of the best sentence for which the model is asked at all.

On SQuAD 2 it keeps 200 of 200 answerable questions, and declines 199 of 200 asked of other documents.
"""

RELATED = 0.75
"""A sentence is offered to the model when its score is at least this share of the best one's.

Where the best sentence of 700 SQuAD 2 questions is wrong, which is 88 times, the right one is within it
80 times.
"""

CHOICE_WEIGHT = 30.0
"""Logits for each point of a sentence's score: how much the score weighs against the model's liking.

The embedded model was never taught to choose; it decides where the scores are close. Of 60 SQuAD 2
questions the first quote was right for 2, 8 and 30: 0.72, 0.82, 0.83, with an earlier score of sentences.
"""

ABSTENTION = "The documents don't say."
NOTHING_BEARS = "nothing in the documents bears on the question"
NONE_ANSWERS = "no sentence of the documents answers the question"


class Engine:
    """Answers questions from one index with one language model. Any thread may ask."""

    def __init__(
        self, *, retriever: Retriever, worker: Worker, model_name: str, template: string.Template
    ) -> None:
        """Join the parts (see `rag.parts`, which makes them from settings)."""
        self._retriever = retriever
        self._worker = worker
        self._model_name = model_name
        self._template = template

    def search(self, question: str, *, k: int = 10, history: History = ()) -> tuple[Passage, ...]:
        """The k passages nearest to the question, best first; fewer when the index has fewer."""
        return search(self._retriever, question, k=k, history=history)

    def answer(self, question: str, *, history: History = ()) -> Answer:
        """The answer in quotes, or the abstention; `history` is (question, answer text) pairs."""
        for event in self.stream(question, history=history):
            if isinstance(event, Answer):
                return event
        raise AssertionError("a stream ends with its Answer")

    def stream(self, question: str, *, history: History = ()) -> Iterator[Event]:
        """The passages, then the text as it is written, then the `Answer`, whose text is that text.

        `Waiting` comes before the text while other questions are answered. Closing the iterator stops
        the computation.
        """
        timings: dict[str, float] = {}
        asked = _asked(question, history)
        with _timed(timings, "retrieve"):
            retrieval = self._retriever.retrieve(asked, PASSAGES)
        passages = retrieval.passages
        yield passages

        sentences = ranked(retrieval.sentences)
        text: list[str] = []
        citations: list[Citation] = []
        reason = NOTHING_BEARS
        if sentences and sentences[0].score >= GATE:
            reason = NONE_ANSWERS
            with _timed(timings, "generate"):
                for event in self._worker.run(self._quoting(asked, sentences, passages)):
                    if isinstance(event, Citation):
                        citations.append(event)
                        continue
                    if isinstance(event, str):
                        text.append(event)
                    yield event
        if not citations:
            text.append(ABSTENTION)
            yield ABSTENTION
        yield Answer(
            question=question,
            text="".join(text),
            short=None,
            citations=tuple(citations),
            passages=passages,
            abstained=None if citations else reason,
            model=self._model_name,
            timings=timings,
        )

    def _quoting(
        self, question: str, sentences: Sequence[Sentence], passages: Sequence[Passage]
    ) -> Callable[[LanguageModel, Callable[[], bool]], Generator[str | Citation, None, None]]:
        """The work for the language model: choose among the sentences, best first, and copy."""

        def work(
            model: LanguageModel, cancelled: Callable[[], bool]
        ) -> Generator[str | Citation, None, None]:
            # Counted as it is written in the reply; `[1] ` takes the same tokens as `[6] `.
            worth = RELATED * sentences[0].score
            shown = [sentence for sentence in sentences[:EVIDENCE_SENTENCES] if sentence.score >= worth]
            sizes = [model.count_tokens(f"\n[1] {sentence.text}") for sentence in shown]
            evidence = within_budget(shown, sizes, max_tokens=EVIDENCE_TOKENS)
            if not evidence:
                return
            best = evidence[0].score
            scores = {0: GATE, **{n: sentence.score for n, sentence in enumerate(evidence, 1)}}
            yield from read_quotes(
                model.generate(
                    render(self._template, evidence=[s.text for s in evidence], question=question),
                    opening="[",
                    grammar=quote_grammar(
                        [s.text for s in evidence], max_quotes=MAX_QUOTES, max_chars=MAX_QUOTE_CHARS
                    ),
                    bias={str(n): CHOICE_WEIGHT * (score - best) for n, score in scores.items()},
                    max_tokens=EVIDENCE_TOKENS * 2 + 16,
                    cancelled=cancelled,
                ),
                evidence,
                passages,
            )

        return work


def search(retriever: Retriever, question: str, *, k: int, history: History = ()) -> tuple[Passage, ...]:
    """The k passages nearest to the question, best first; fewer when the index has fewer."""
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise QuestionError(f"k is {k!r}; ask for 1 passage or more.")
    return retriever.retrieve(_asked(question, history), k).passages


def _asked(question: str, history: History) -> str:
    """The question as it is searched for, after what it goes on from, which may be cut."""
    return _checked(standalone(_checked(question), history)[-MAX_QUESTION_CHARS:])


def _checked(question: str) -> str:
    """The question if it can be asked, in characters that can be encoded; else `QuestionError`."""
    if not isinstance(question, str) or not question.strip():
        raise QuestionError("The question is empty. Type one.")
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARS:,} can be asked. "
            "Shorten it."
        )
    return question.encode("utf-8", "replace").decode()


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - began
