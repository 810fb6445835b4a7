"""Question → answer: joins the stages and streams what they find.

question → passages → evidence → confidence → prompt + grammar → generation → quotes → answer
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from rag.composition import Dropped, read_composition
from rag.confidence import confidence
from rag.errors import QuestionError
from rag.evidence import ranked, within_budget
from rag.followup import Asked, History, in_context
from rag.generation import LanguageModel
from rag.grammar import ONE_LINE, compose_grammar
from rag.prompt import Templates, render, render_rewrite
from rag.quotes import Short, choose_quotes
from rag.retrieval import Retrieval, Retriever
from rag.sentences import MAX_CHARS as MAX_QUOTE_CHARS
from rag.settings import Mode
from rag.short_answer import short_answer
from rag.support import unsupported
from rag.types import Answer, Citation, Event, Passage, Sentence, Waiting
from rag.worker import Work, Worker

PASSAGES = 5
"""How many passages an answer is looked for in."""

MAX_QUESTION_CHARS = 4_000
EVIDENCE_TOKENS = 300
"""A small model reads 250 prompt tokens better than 1,300, and sooner."""

EVIDENCE_SENTENCES = 6
MAX_QUOTES = 3
CAPABLE_PARAMETERS = 900_000_000
"""From how many weights a model can write sentences of its own, put a question anew, and refuse.

Models that are named 1B have a little less or more.
"""

PROSE_TOKENS = 200
REWRITE_TOKENS = 64
LABEL_TOKENS = 4
SLACK_TOKENS = 64
"""For labels and marks, and for words that take other tokens where they stand than alone."""

GATE = 1.3
"""The least score of the best sentence for which anything bears on the question at all.

On SQuAD 2 it keeps 200 of 200 answerable questions, and declines 199 of 200 asked of other documents.
"""

CLOSE = 0.4
"""A sentence is evidence when its score is this close to the best one's, and as good as it in quotes.

Of SQuAD 2, of Wikipedia's sentence questions and of XQuAD, quotes of at most 400 characters hold the answer
in 0.893, 0.768 and 0.902 with 1.8 quotes on average; with half of this distance in 0.872, 0.746 and 0.888
with 1.4, with 0.6 in 0.894, 0.776 and 0.904 with 2.0. The best sentence alone has it in 0.820, 0.672 and
0.824.
"""

CHOICE_WEIGHT = 30.0
"""Logits for each point of a sentence's score: how much the score weighs against the model's liking.

The embedded model was never taught to choose; it decides where the scores are close. Of 60 SQuAD 2
questions the first quote was right for 2, 8 and 30: 0.72, 0.82, 0.83, with an earlier score of sentences.
"""

ABSTENTION = "The documents don't say."
NOTHING_BEARS = "nothing in the documents bears on the question"
NONE_ANSWERS = "no sentence of the documents answers the question"
NO_ROOM = "no sentence that bears on the question fits the language model's context"


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """How many sentences the model had no room for."""

    sentences: int


_Step = str | Short | Citation | Dropped | _LeftOut


class Engine:
    """Answers questions from one index with one language model. Any thread may ask."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        worker: Worker,
        model_name: str,
        templates: Templates,
        mode: Mode,
        threshold: float,
    ) -> None:
        """Join the parts (see `rag.parts`, which makes them from settings).

        `mode` is what the model may write: `quote` quotes alone, `compose` sentences of its own that a quote
        bears out, `auto` what it is large enough for. A question is answered when the confidence is at least
        `threshold`; with 0 whatever is nearest is quoted.
        """
        self._retriever = retriever
        self._worker = worker
        self._model_name = model_name
        self._templates = templates
        self._mode = mode
        self._threshold = threshold

    def search(self, question: str, *, k: int = 10, history: History = ()) -> tuple[Passage, ...]:
        """The k passages nearest to the question, best first; fewer when the index has fewer."""
        return search(self._retriever, question, k=k, history=history)

    def answer(self, question: str, *, history: History = ()) -> Answer:
        """The answer, or the abstention; `history` is (question, answer text) pairs, oldest first."""
        for event in self.stream(question, history=history):
            if isinstance(event, Answer):
                return event
        raise AssertionError("a stream ends with its Answer")

    def stream(self, question: str, *, history: History = ()) -> Iterator[Event]:
        """The passages, then the text as it is written, then the `Answer`, whose text is that text.

        `Waiting` comes while other questions are answered. Closing the iterator stops the computation.
        """
        timings: dict[str, float] = {}
        asked = _asked(question, history)
        if asked.goes_on and self._mode != "quote":
            with _timed(timings, "rewrite"):
                asked = yield from self._rewritten(asked)
        with _timed(timings, "retrieve"):
            retrieval = _retrieved(self._retriever, asked, PASSAGES)
        yield retrieval.passages

        sentences = ranked(retrieval.sentences)
        sure = confidence(asked.text, sentences[0].text, sentences[0].signals) if sentences else 0.0
        steps: list[_Step] = []
        reason = NONE_ANSWERS
        if not sentences or (self._threshold and sentences[0].score < GATE):
            reason = NOTHING_BEARS
        elif sure >= self._threshold:
            with _timed(timings, "generate"):
                for step in self._worker.run(self._answering(asked, sentences, retrieval.passages)):
                    if isinstance(step, Waiting | str):
                        yield step
                    if not isinstance(step, Waiting):
                        steps.append(step)
        citations = tuple(step for step in steps if isinstance(step, Citation))
        left_out = sum(step.sentences for step in steps if isinstance(step, _LeftOut))
        if not citations:
            reason = NO_ROOM if left_out else reason
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
            taken_as=asked.text if asked.text != asked.question else None,
            left_out=left_out,
            dropped=sum(isinstance(step, Dropped) for step in steps),
        )

    def _rewritten(self, asked: Asked) -> Generator[Event, None, Asked]:
        """The question as a capable model puts it to be understood alone; as it is from another model."""
        text = ""
        for step in self._worker.run(self._rewriting(asked)):
            if isinstance(step, Waiting):
                yield step
            else:
                text += step
        text = " ".join(text.split())
        return replace(asked, text=text, goes_on=False) if text else asked

    def _rewriting(self, asked: Asked) -> Work[str]:
        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[str, None, None]:
            if not self._composes(model):
                return
            message = render_rewrite(self._templates.rewrite, history=asked.turns, question=asked.question)
            if model.count_prompt(message, opening="") + REWRITE_TOKENS <= model.context_tokens:
                yield from model.generate(
                    message,
                    opening="",
                    grammar=ONE_LINE,
                    bias={},
                    max_tokens=REWRITE_TOKENS,
                    cancelled=cancelled,
                )

        return work

    def _answering(
        self, asked: Asked, sentences: Sequence[Sentence], passages: Sequence[Passage]
    ) -> Work[_Step]:
        """The work for the language model: choose among the sentences, best first, and copy."""

        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[_Step, None, None]:
            composes = self._composes(model)
            template = self._templates.compose if composes else self._templates.quote
            opening, own = ("", PROSE_TOKENS) if composes else ("[", 0)
            enough = sentences[0].score - CLOSE
            shown = [sentence for sentence in sentences[:EVIDENCE_SENTENCES] if sentence.score >= enough]
            # Counted as it is written in the reply; `[1] ` takes the same tokens as `[6] `.
            sizes = {s: model.count_tokens(f"\n[1] {s.lead_in}{s.text}") for s in shown}
            bare = model.count_prompt(render(template, evidence=[], question=asked.text), opening=opening)
            room = model.context_tokens - bare - own - SLACK_TOKENS
            if room <= 0:
                raise QuestionError(
                    f"The question leaves no room for evidence: with the prompt it takes {bare} of the "
                    f"{model.context_tokens} tokens that {model.name} has. Shorten it, or name another model."
                )
            # Each sentence stands in the prompt, and may stand in the reply.
            budget = min(EVIDENCE_TOKENS, room // 2)
            evidence = within_budget(shown, [*sizes.values()], max_tokens=budget)
            if len(evidence) < len(shown):
                yield _LeftOut(len(shown) - len(evidence))
            if not evidence:
                return
            texts = [sentence.text for sentence in evidence]
            lines = [sentence.lead_in + sentence.text for sentence in evidence]
            message = render(template, evidence=lines, question=asked.text)
            limits = {"max_quotes": MAX_QUOTES, "max_chars": MAX_QUOTE_CHARS}
            # A small model refuses at random; for it the confidence alone decides.
            may_refuse = self._threshold > 0 and model.parameters >= CAPABLE_PARAMETERS
            # The kind of answer is what the last question asks for, not what it goes on from.
            short = partial(short_answer, asked.question if asked.goes_on else asked.text)
            if composes:
                pieces = model.generate(
                    message,
                    opening=opening,
                    grammar=compose_grammar(texts, may_refuse=may_refuse, **limits),
                    bias={},
                    max_tokens=budget + own + SLACK_TOKENS // 2,
                    cancelled=cancelled,
                )
                composed = read_composition(pieces, evidence, passages, unsupported=self._unsupported)
                yield from _with_short(composed, short)
                return
            bias = _bias([sentence.score for sentence in evidence])

            def reply(written: str, grammar: str) -> str:
                return "".join(
                    model.generate(
                        message,
                        opening=written,
                        grammar=grammar,
                        bias=bias,
                        max_tokens=LABEL_TOKENS,
                        cancelled=cancelled,
                    )
                )

            yield from choose_quotes(reply, evidence, passages, may_refuse=may_refuse, short=short, **limits)

        return work

    def _composes(self, model: LanguageModel) -> bool:
        """Whether the model writes sentences of its own."""
        return self._mode == "compose" or (self._mode == "auto" and model.parameters >= CAPABLE_PARAMETERS)

    def _unsupported(self, claim: str, quote: str) -> str | None:
        def similarity(*texts: str) -> float:
            first, second = self._retriever.embedder.embed(texts)
            return float(first @ second)

        return unsupported(claim, quote, similarity)


def search(retriever: Retriever, question: str, *, k: int, history: History = ()) -> tuple[Passage, ...]:
    """The k passages nearest to the question, best first; fewer when the index has fewer."""
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise QuestionError(f"k is {k!r}; ask for 1 passage or more.")
    return _retrieved(retriever, _asked(question, history), k).passages


def _retrieved(retriever: Retriever, asked: Asked, k: int) -> Retrieval:
    # A question that goes on is searched for as it is typed, beside what it goes on from.
    question = asked.question if asked.goes_on else asked.text
    return retriever.retrieve(question, k, topic=asked.topic, goes_on=asked.goes_on)


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


def _bias(scores: Sequence[float]) -> dict[str, float]:
    """What is added to the logits of the labels: 0 for the best sentence, less for the others."""
    return {str(label): CHOICE_WEIGHT * (score - scores[0]) for label, score in enumerate(scores, 1)}


def _with_short(
    steps: Iterator[str | Citation | Dropped], short: Callable[[str], str | None]
) -> Generator[_Step, None, None]:
    """The steps, and after the first citation the short answer in it."""
    cited = False
    for step in steps:
        yield step
        if isinstance(step, Citation) and not cited:
            cited = True
            if (said := short(step.quote)) is not None:
                yield Short(said)


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = time.perf_counter() - began
