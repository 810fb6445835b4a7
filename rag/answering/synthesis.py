"""Evidence → what the language model does with it: choose, compose, or put a question anew.

Each is a piece of work for the thread that has the model (see `rag.llm.worker`).
"""

from collections.abc import Callable, Generator, Sequence
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
from rag.retrieval.conversation import Asked
from rag.settings import Mode
from rag.text.sentences import MAX_CHARS as MAX_QUOTE_CHARS
from rag.types import Citation, Passage, Sentence

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
"""So many logits of score alone choose a sentence without the model: they are a chance of 1 in 100,000.

It saves the model's reading of the evidence.
"""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many sentences, of how many, the model had no room for."""

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
class Writer:
    """Makes the work for the model.

    `mode` is as in `rag.answering.engine`, `may_refuse` whether a capable model may say that no sentence
    answers. `unsupported` tells why a quote doesn't bear out a sentence (see `rag.answering.composition`),
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

    def rewriting(self, asked: Asked) -> Work[str]:
        """The question put anew, to be understood alone; nothing from a model that doesn't compose."""

        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[str, None, None]:
            if not self.composes(model):
                return
            message = render_rewrite(self.templates.rewrite, history=asked.turns, question=asked.question)
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
        self, asked: Asked, sentences: Sequence[Sentence], passages: Sequence[Passage]
    ) -> Work[Step]:
        """The answer out of the sentences, best first; `QuestionError` if the question leaves no room."""

        def work(model: LanguageModel, cancelled: Callable[[], bool]) -> Generator[Step, None, None]:
            enough = sentences[0].score - CLOSE
            found = [sentence for sentence in sentences[:EVIDENCE_SENTENCES] if sentence.score >= enough]
            # A sentence with characters that the model can't write can only be copied for it.
            composes = self.composes(model) and all(model.can_write(sentence.text) for sentence in found)
            composes = composes or not model.takes_grammar  # labels alone can't be asked of it
            template = self.templates.compose if composes else self.templates.quote
            opening, own = ("", PROSE_TOKENS) if composes else ("[", 0)
            budget = _budget(model, render(template, evidence=[], question=asked.text), opening, own)
            # Counted as it is written in the reply; `[1] ` takes the same tokens as `[6] `.
            sizes = [model.count_tokens(f"\n[1] {sentence.lead_in}{sentence.text}") for sentence in found]
            evidence = within_budget(found, sizes, max_tokens=budget)
            if len(evidence) < len(found):
                yield LeftOut(len(found) - len(evidence), of=len(found))
            if not evidence:
                return
            lines = [sentence.lead_in + sentence.text for sentence in evidence]
            message = render(template, evidence=lines, question=asked.text)
            # A small model refuses at random; for it the confidence alone decides.
            may_refuse = self.may_refuse and _is_capable(model)
            prompted = Prompted(
                evidence, model.count_prompt(message, opening=opening), not model.takes_grammar
            )
            limits = {"max_quotes": MAX_QUOTES, "max_chars": MAX_QUOTE_CHARS}
            short = partial(self.short_answer, asked.question)
            if composes:
                yield prompted
                texts = [sentence.text for sentence in evidence]
                pieces = model.generate(
                    message,
                    opening=opening,
                    grammar=compose_grammar(texts, may_refuse=may_refuse, **limits),
                    bias={},
                    max_tokens=budget + own + SLACK_TOKENS // 2,
                    cancelled=cancelled,
                )
                if model.takes_grammar:
                    yield from read_composition(
                        pieces, evidence, passages, unsupported=self.unsupported, short=short
                    )
                else:
                    yield from read_located(
                        pieces,
                        evidence,
                        passages,
                        max_quotes=MAX_QUOTES,
                        unsupported=self.unsupported if self.composes(model) else None,
                        short=short,
                    )
                return
            bias = _bias([sentence.score for sentence in evidence])
            asked_model = False

            def reply(written: str, grammar: str) -> str:
                nonlocal asked_model
                asked_model = True
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

            yield from choose_quotes(
                reply,
                evidence,
                passages,
                decided=DECIDED / CHOICE_WEIGHT,
                may_refuse=may_refuse,
                short=short,
                **limits,
            )
            if asked_model:
                yield prompted

        return work


def _is_capable(model: LanguageModel) -> bool:
    return model.parameters >= CAPABLE_PARAMETERS


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
