"""Evidence → what the language model does with it: choose, compose, or reword a question.

Each is a piece of work for the thread that has the model (see `rag.llm.worker`).
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from rag.answering.composition import Dropped, read_composition
from rag.answering.evidence import within_budget
from rag.answering.quote_matching import read_located
from rag.answering.quotes import Short, choose_quotes
from rag.errors import QuestionError
from rag.llm.base import LanguageModel
from rag.llm.grammar import ONE_LINE, compose_grammar
from rag.llm.prompts import Templates, render, render_rewrite
from rag.llm.worker import Work
from rag.retrieval.query import Query
from rag.settings import Mode
from rag.text.sentences import MAX_CHARS as MAX_QUOTE_CHARS
from rag.types import Citation, Passage, Sentence

EVIDENCE_TOKENS = 300
"""A small model reads 250 prompt tokens better than 1,300, and sooner."""

EVIDENCE_SENTENCES = 6
MAX_QUOTES = 3
CAPABLE_PARAMETERS = 900_000_000
"""From how many weights a model can write sentences of its own, reword a question, and refuse.

Models that are named 1B have a little less or more.
"""

PROSE_TOKENS = 200
REWRITE_TOKENS = 64
LABEL_TOKENS = 4
SLACK_TOKENS = 64
"""For labels and marks, and for words that take other tokens where they stand than alone."""

CLOSE = 0.6
"""A sentence is evidence when its score is this close to the best one's, and as good as it in quotes.

Of SQuAD 2 and of Wikipedia's sentence questions, on documents that the reader hasn't learnt from, quotes of
at most 400 characters hold the answer in 0.936 and 0.796, with 1.3 and 1.5 quotes on average; with 0.4 in
0.927 and 0.776. The best sentence alone has it in 0.881 and 0.712.
"""

CHOICE_WEIGHT = 30.0
"""Logits for each point of a sentence's score: how much the score weighs against the model's liking.

The embedded model was never taught to choose, so the score decides almost alone: of 500 SQuAD 2 questions
the first quote is right for 0.854, and for 0.856 without the model.
"""

DECIDED = 12.0
"""A lead of this many logits of score alone chooses a sentence without the model: a chance of 1 in 100,000.

It saves the model's reading of the evidence.
"""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many sentences, of how many, did not fit the model's context."""

    sentences: int
    of: int


@dataclass(frozen=True, slots=True)
class Prompted:
    """The model was asked: the sentences in its prompt, and how many tokens that has.

    `located` says that no grammar held it: its quotes were looked for in the evidence (see
    `rag.answering.quote_matching`).
    """

    sentences: tuple[Sentence, ...] = ()
    tokens: int = 0
    located: bool = False


Step: TypeAlias = str | Short | Citation | Dropped | LeftOut | Prompted
"""What an answer is made of, in order: its text, and what is to be known of it."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The message to a model, with the evidence in it, and how much the model may write after `opening`."""

    message: str
    opening: str
    evidence: tuple[Sentence, ...]
    max_tokens: int
    composes: bool


@dataclass(frozen=True, slots=True)
class Synthesizer:
    """Makes the work for the model.

    `mode` is as in `rag.answering.engine`, `may_refuse` whether a capable model may say that no sentence
    answers. `unsupported` says why a quote doesn't support a sentence (see `rag.answering.composition`),
    `short_answer` what in a sentence answers a question in a few words.
    """

    templates: Templates
    mode: Mode
    may_refuse: bool
    unsupported: Callable[[str, str], str | None]
    short_answer: Callable[[str, Sentence], str | None]

    def composes(self, model: LanguageModel) -> bool:
        """Whether the model writes sentences of its own."""
        return self.mode == "compose" or (self.mode == "auto" and _is_capable(model))

    def rewriting(self, query: Query) -> Work[str]:
        """The question reworded, to be understood alone; nothing from a model that doesn't compose."""

        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[str, None, None]:
            if not self.composes(model):
                return
            message = render_rewrite(self.templates.rewrite, history=query.turns, question=query.question)
            if model.count_prompt(message, opening="") + REWRITE_TOKENS > model.context_tokens:
                return
            pieces = model.generate(
                message,
                opening="",
                grammar=ONE_LINE,
                bias={},
                max_tokens=REWRITE_TOKENS,
                cancelled=cancelled,
            )
            if model.takes_grammar:
                yield from pieces
            elif len(("".join(written := [*pieces])).strip().splitlines()) == 1:
                yield from written  # what has more lines is talk about the question

        return work

    def answering(
        self, query: Query, sentences: Sequence[Sentence], passages: Sequence[Passage]
    ) -> Work[Step]:
        """The answer out of the sentences, best first; `QuestionError` if the question leaves no room."""

        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[Step, None, None]:
            enough = sentences[0].score - CLOSE
            close = [sentence for sentence in sentences[:EVIDENCE_SENTENCES] if sentence.score >= enough]
            prompt = self._prompt(query, close, model)
            if len(prompt.evidence) < len(close):
                yield LeftOut(len(close) - len(prompt.evidence), of=len(close))
            if prompt.evidence:
                answer = self._composed if prompt.composes else self._chosen
                yield from answer(query, prompt, passages, model, cancelled)

        return work

    def _prompt(self, query: Query, close: Sequence[Sentence], model: LanguageModel) -> _Prompt:
        # A sentence with characters that the model can't write can only be copied for it, and labels alone
        # can't be asked of a model without a grammar.
        can_write = all(model.can_write(sentence.text) for sentence in close)
        composes = (self.composes(model) and can_write) or not model.takes_grammar
        template = self.templates.compose if composes else self.templates.quote
        opening, prose = ("", PROSE_TOKENS) if composes else ("[", 0)
        budget = _budget(model, render(template, evidence=[], question=query.text), opening, prose)
        # Counted as it is written in the reply; `[1] ` takes the same tokens as `[6] `.
        sizes = [model.count_tokens(f"\n[1] {sentence.lead_in}{sentence.text}") for sentence in close]
        evidence = within_budget(close, sizes, max_tokens=budget)
        lines = [sentence.lead_in + sentence.text for sentence in evidence]
        message = render(template, evidence=lines, question=query.text)
        max_tokens = budget + prose + SLACK_TOKENS // 2 if composes else LABEL_TOKENS
        return _Prompt(message, opening, evidence, max_tokens, composes)

    def _composed(
        self,
        query: Query,
        prompt: _Prompt,
        passages: Sequence[Passage],
        model: LanguageModel,
        cancelled: Callable[[], bool],
    ) -> Iterator[Step]:
        """The model's own sentences, each with a quote."""
        yield _prompted(prompt, model)
        grammar = compose_grammar(
            [sentence.text for sentence in prompt.evidence],
            max_quotes=MAX_QUOTES,
            max_chars=MAX_QUOTE_CHARS,
            may_refuse=self._may_refuse(model),
        )
        pieces = model.generate(
            prompt.message,
            opening=prompt.opening,
            grammar=grammar,
            bias={},
            max_tokens=prompt.max_tokens,
            cancelled=cancelled,
        )
        short = partial(self.short_answer, query.question)
        if model.takes_grammar:
            yield from read_composition(
                pieces, prompt.evidence, passages, unsupported=self.unsupported, short=short
            )
        else:
            yield from read_located(
                pieces,
                prompt.evidence,
                passages,
                max_quotes=MAX_QUOTES,
                unsupported=self.unsupported if self.composes(model) else None,
                short=short,
            )

    def _chosen(
        self,
        query: Query,
        prompt: _Prompt,
        passages: Sequence[Passage],
        model: LanguageModel,
        cancelled: Callable[[], bool],
    ) -> Iterator[Step]:
        """Quotes alone, in the order in which the model chooses them."""
        bias = _bias([sentence.score for sentence in prompt.evidence])
        asked = False

        def reply(written: str, grammar: str) -> str:
            nonlocal asked
            asked = True
            pieces = model.generate(
                prompt.message,
                opening=written,
                grammar=grammar,
                bias=bias,
                max_tokens=prompt.max_tokens,
                cancelled=cancelled,
            )
            return "".join(pieces)

        yield from choose_quotes(
            reply,
            prompt.evidence,
            passages,
            max_quotes=MAX_QUOTES,
            max_chars=MAX_QUOTE_CHARS,
            decided=DECIDED / CHOICE_WEIGHT,
            may_refuse=self._may_refuse(model),
            short=partial(self.short_answer, query.question),
        )
        if asked:
            yield _prompted(prompt, model)

    def _may_refuse(self, model: LanguageModel) -> bool:
        """A small model refuses at random; for it the confidence alone decides."""
        return self.may_refuse and _is_capable(model)


def _is_capable(model: LanguageModel) -> bool:
    return model.parameters >= CAPABLE_PARAMETERS


def _prompted(prompt: _Prompt, model: LanguageModel) -> Prompted:
    tokens = model.count_prompt(prompt.message, opening=prompt.opening)
    return Prompted(prompt.evidence, tokens, located=not model.takes_grammar)


def _budget(model: LanguageModel, bare: str, opening: str, own: int) -> int:
    """The tokens that evidence may take beside the message without it, and words of the model's own."""
    taken = model.count_prompt(bare, opening=opening)
    room = model.context_tokens - taken - own - SLACK_TOKENS
    if room <= 0:
        raise QuestionError(
            f"The question leaves no room for evidence: with the prompt it takes {taken} of the "
            f"{model.context_tokens} tokens that {model.name} has. Shorten it, or name another model."
        )
    # Each sentence stands in the prompt, and may stand in the reply.
    return min(EVIDENCE_TOKENS, room // 2)


def _bias(scores: Sequence[float]) -> dict[str, float]:
    """What is added to the logits of the labels: 0 for the best sentence, less for the others."""
    return {str(label): CHOICE_WEIGHT * (score - scores[0]) for label, score in enumerate(scores, 1)}
