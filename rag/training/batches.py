"""Examples → the sentences that are read together for each question.

Some questions are changed on the way so that no sentence answers them: the reader has to learn to refuse.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rag.text.analyzer import STOP_WORDS, stems, words
from rag.training.examples import Candidate, Example, without_answers
from rag.training.siblings import Siblings

LIST_SIZE = 4
"""How many sentences of a question are read together."""

HARDEST = 2
"""How many of them are the wrong ones that retrieval ranks highest; the others are drawn."""

ANSWER_REMOVED = 0.15
WORD_SWAPPED = 0.25
"""The shares of the answered questions whose answer is left out, and of those that get another word."""

SWAP_WEIGHTS = (2, 2, 1)
"""How often the other word is a name or number from elsewhere, one of the same kind, and the opposite."""

REPEATS = {"squad2": 3, "xquad": 2}
"""How often an epoch has each example of a set, if not once: few examples have short answers."""

_OPPOSITES = """
first last, before after, largest smallest, most least, more less, highest lowest, north south, east west,
northern southern, eastern western, increase decrease, oldest youngest, early late, began ended, begin end,
started stopped, born died, male female, win lose, won lost, above below, major minor, best worst,
allowed forbidden, high low, large small, long short, old new, positive negative, inside outside,
public private, with without, true false, can cannot, is isn't, was wasn't, were weren't, did didn't,
does doesn't
"""
_OPPOSITE = {
    word: other for pair in _OPPOSITES.split(",") for word, other in (pair.split(), pair.split()[::-1])
}
_NUMBER = re.compile(r"\b\d[\d,.]*\b")
_NAME = re.compile(r"(?<=[\w,] )[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*")

Swap = tuple[str, str]
"""A word of the question, and the one that takes its place."""


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A question with the sentences that are read together.

    `right` is the position of the one that answers, or None; `answer` its short answer as (start, end).
    """

    question: str
    candidates: tuple[Candidate, ...]
    right: int | None
    answer: tuple[int, int] | None


def epoch(examples: Sequence[Example], siblings: Siblings, seed: int) -> Iterator[CandidateList]:
    """A list for each example, or as many as `REPEATS` says; the seed decides order and sentences."""
    chooser = random.Random(seed)
    order = [example for example in examples for _ in range(REPEATS.get(example.dataset, 1))]
    chooser.shuffle(order)
    for example in order:
        yield draw(example, siblings, chooser)


def draw(example: Example, siblings: Siblings, chooser: random.Random) -> CandidateList:
    """Some candidates of the example: as it is, without its answer, or with a question that has none."""
    if example.right:
        chance = chooser.random()
        if chance < ANSWER_REMOVED:
            example = without_answers(example)
        elif chance < ANSWER_REMOVED + WORD_SWAPPED:
            example = with_word_swapped(example, siblings, chooser) or example
    right = [example.candidates[example.right[0]]] if example.right else []
    wrong = without_answers(example).candidates
    hardest, rest = wrong[:HARDEST], wrong[HARDEST:]
    drawn = chooser.sample(rest, min(len(rest), LIST_SIZE - len(right) - len(hardest)))
    return CandidateList(example.question, (*right, *hardest, *drawn), 0 if right else None, example.answer)


def with_word_swapped(example: Example, siblings: Siblings, chooser: random.Random) -> Example | None:
    """The example with one word or name of its question swapped, so that nothing answers it.

    The sentence that answered comes first; those that might answer the new question are left out. None if
    the question has no word to swap.
    """
    answering = example.candidates[example.right[0]]
    others = without_answers(example).candidates
    text = " ".join(other.text for other in others)
    said = {*stems(answering.text), *stems(answering.before), *stems(example.question)}
    kinds_of_swaps = (
        _foreign(f"{answering.text} {example.question}", text, said, chooser),
        _of_same_kind(example.question, text, said, siblings),
        _opposite(example.question),
    )
    kinds = [list(_questions(example.question, swaps)) for swaps in kinds_of_swaps]
    usable = [(questions, weight) for questions, weight in zip(kinds, SWAP_WEIGHTS, strict=True) if questions]
    if not usable:
        return None
    (questions,) = chooser.choices(*zip(*usable, strict=True))
    question, word = chooser.choice(questions)
    if example.question.islower():
        question = question.lower()
    kept = tuple(other for other in others if not _may_answer(other, question, word))
    return replace(example, question=question, candidates=(answering, *kept), right=(), answer=None)


def _foreign(text: str, elsewhere: str, said: set[str], chooser: random.Random) -> list[Swap]:
    """Each number and name of the text with one from elsewhere."""
    swaps: list[Swap] = []
    for pattern in (_NUMBER, _NAME):
        if foreign := _unsaid(pattern.findall(elsewhere), said):
            own = [word for word in pattern.findall(text) if word.lower() not in STOP_WORDS]
            swaps += [(word, chooser.choice(foreign)) for word in own]
    return swaps


def _of_same_kind(question: str, elsewhere: str, said: set[str], siblings: Siblings) -> list[Swap]:
    """Each word of the question with one of the same kind from elsewhere, where there is one."""
    others = _unsaid(siblings.known(elsewhere), said)
    pairs = ((word, siblings.of(word, others)) for word in sorted(siblings.known(question)))
    return [(word, sibling) for word, sibling in pairs if sibling is not None]


def _opposite(question: str) -> list[Swap]:
    """Each word of the question with its opposite; "how short" asks for the same as "how long"."""
    asked = re.findall(r"(?<!how )\b[\w']+", question, re.IGNORECASE)
    return [(word, _OPPOSITE[word.lower()]) for word in asked if word.lower() in _OPPOSITE]


def _unsaid(found: Iterable[str], said: set[str]) -> list[str]:
    """Those that are no stop words and share no stem with what was said, sorted."""
    return sorted(
        word for word in {*found} if word.lower() not in STOP_WORDS and said.isdisjoint(stems(word))
    )


def _questions(question: str, swaps: Iterable[Swap]) -> Iterator[tuple[str, str]]:
    """The question after each swap that isn't of its first word, with the new word."""
    for word, other in swaps:
        match = re.search(rf"\b{re.escape(word)}\b", question, re.IGNORECASE)
        if match is not None and match.start():
            yield question[: match.start()] + other + question[match.end() :], other


def _may_answer(candidate: Candidate, question: str, word: str) -> bool:
    """Whether the candidate has the word that was swapped in, and half of the question's content words."""
    present = {*stems(candidate.text), *stems(candidate.before)}
    wanted = {stem for term in words(question) if term not in STOP_WORDS for stem in stems(term)}
    return {*stems(word)} <= present and 2 * len(wanted & present) >= len(wanted)
