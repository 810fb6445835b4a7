"""Examples → batches: which candidates of a question are read together, and questions made wrong by rule."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rag.text.analyzer import STOP_WORDS, stems, words
from rag.training.examples import Candidate, Example, without_answers
from rag.training.siblings import Siblings

LIST = 4
"""How many sentences of a question are read together."""

HARDEST = 2
"""How many of them are those that retrieval likes best; the others are drawn."""

TAKEN_OUT = 0.15
MADE_WRONG = 0.25
"""The shares of the questions whose answer is taken out, and that are changed to have none."""

KINDS = (2, 2, 1)
"""The weights of the ways to make a question wrong: a foreign name or number, a sibling, an opposite."""

TIMES = {"squad2": 3, "xquad": 2}
"""How often an epoch has each example of a set, where not once: of those with short answers there are few."""

_OPPOSITES = (
    "first last",
    "before after",
    "largest smallest",
    "most least",
    "more less",
    "highest lowest",
    "north south",
    "east west",
    "northern southern",
    "eastern western",
    "increase decrease",
    "oldest youngest",
    "early late",
    "began ended",
    "begin end",
    "started stopped",
    "born died",
    "male female",
    "win lose",
    "won lost",
    "above below",
    "major minor",
    "best worst",
    "allowed forbidden",
    "high low",
    "large small",
    "long short",
    "old new",
    "positive negative",
    "inside outside",
    "public private",
    "with without",
    "true false",
    "can cannot",
    "is isn't",
    "was wasn't",
    "were weren't",
    "did didn't",
    "does doesn't",
)
_OPPOSITE = {word: other for pair in _OPPOSITES for word, other in (pair.split(), pair.split()[::-1])}
_NUMBER = re.compile(r"\b\d[\d,.]*\b")
_NAME = re.compile(r"(?<=[\w,] )[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*")


@dataclass(frozen=True, slots=True)
class List:
    """A question with the sentences that are read together; `right` is the place of the one that answers."""

    question: str
    candidates: tuple[Candidate, ...]
    right: int | None
    answer: tuple[int, int] | None


def epoch(examples: Sequence[Example], siblings: Siblings, seed: int) -> Iterator[List]:
    """Each example once, or as often as `TIMES` says, in an order and with sentences drawn by this seed."""
    chooser = random.Random(seed)
    order = [given for given in examples for _ in range(TIMES.get(given.dataset, 1))]
    chooser.shuffle(order)
    for given in order:
        yield drawn(given, siblings, chooser)


def drawn(given: Example, siblings: Siblings, chooser: random.Random) -> List:
    """Some candidates of the example: as it is, with its answer taken out, or changed to have none."""
    if given.right:
        chance = chooser.random()
        if chance < TAKEN_OUT:
            given = without_answers(given)
        elif chance < TAKEN_OUT + MADE_WRONG:
            given = made_wrong(given, siblings, chooser) or given
    right = given.right[0] if given.right else None
    others = [one for place, one in enumerate(given.candidates) if place not in given.right]
    count = LIST - (right is not None)
    kept, rest = others[:HARDEST], others[HARDEST:]
    kept += chooser.sample(rest, min(len(rest), count - len(kept)))
    found = [] if right is None else [given.candidates[right]]
    return List(given.question, (*found, *kept), None if right is None else 0, given.answer)


def made_wrong(given: Example, siblings: Siblings, chooser: random.Random) -> Example | None:
    """The example with a question that nothing answers: one word or name of it is another.

    It is a number or a name from elsewhere, a word of the same kind, or the opposite. The sentence that
    answered stands first; those that may answer the new question are left out. None where the question has
    nothing to change.
    """
    answering = given.candidates[given.right[0]]
    others = [one for place, one in enumerate(given.candidates) if place not in given.right]
    elsewhere = " ".join(one.text for one in others)
    said = {*stems(answering.text), *stems(answering.before), *stems(given.question)}

    def fresh(words: Iterable[str]) -> list[str]:
        found = {word for word in words if word.lower() not in STOP_WORDS}
        return sorted(word for word in found if not said.intersection(stems(word)))

    foreign: list[tuple[str, str]] = []
    for pattern in (_NUMBER, _NAME):
        if names := fresh(pattern.findall(elsewhere)):
            found = pattern.findall(f"{answering.text} {given.question}")
            foreign += [(word, chooser.choice(names)) for word in found if word.lower() not in STOP_WORDS]
    known = fresh(siblings.known(elsewhere))
    near = [
        (word, sibling)
        for word in sorted(siblings.known(given.question))
        if (sibling := siblings.of(word, known)) is not None
    ]
    # How short something is that is long is no other question.
    opposite = [
        (word, _OPPOSITE[word.lower()])
        for word in re.findall(r"(?<!how )\b[\w']+", given.question, re.I)
        if word.lower() in _OPPOSITE
    ]
    kinds = [
        [
            (given.question[: place.start()] + other + given.question[place.end() :], other)
            for word, other in swaps
            for place in [re.search(rf"\b{re.escape(word)}\b", given.question, re.I)]
            if place is not None and place.start()
        ]
        for swaps in (foreign, near, opposite)
    ]
    usable = [(changed, weight) for changed, weight in zip(kinds, KINDS, strict=True) if changed]
    if not usable:
        return None
    (changed,) = chooser.choices(*zip(*usable, strict=True))
    question, other = chooser.choice(changed)
    if given.question.islower():
        question = question.lower()
    kept = tuple(one for one in others if not _may_answer(one, question, other))
    return replace(given, question=question, candidates=(answering, *kept), right=(), answer=None)


def _may_answer(candidate: Candidate, question: str, word: str) -> bool:
    """Whether it has the word that came into the question, and half of the others that say something."""
    has = {*stems(candidate.text), *stems(candidate.before)}
    wanted = {one for term in words(question) if term not in STOP_WORDS for one in stems(term)}
    return {*stems(word)} <= has and 2 * len(wanted & has) >= len(wanted)
