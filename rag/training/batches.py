"""Examples → batches: which candidates of a question are read together, and questions made wrong by rule."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.training.examples import Candidate, Example, without_answers
from rag.words import STOP_WORDS, stems

LIST = 6
"""How many sentences of a question are read together."""

HARDEST = 3
"""How many of them are those that retrieval likes best; the others are drawn."""

TAKEN_OUT = 0.15
MADE_WRONG = 0.2
"""The shares of the questions whose answer is taken out, and that are changed to have none."""

TIMES = {"squad2": 2, "xquad": 2}
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


def epoch(examples: Sequence[Example], seed: int) -> Iterator[List]:
    """Each example once, or as often as `TIMES` says, in an order and with sentences drawn by this seed."""
    chooser = random.Random(seed)
    order = [given for given in examples for _ in range(TIMES.get(given.dataset, 1))]
    chooser.shuffle(order)
    for given in order:
        yield drawn(given, chooser)


def drawn(given: Example, chooser: random.Random) -> List:
    """Some candidates of the example: as it is, with its answer taken out, or changed to have none."""
    if given.right:
        chance = chooser.random()
        if chance < TAKEN_OUT:
            given = without_answers(given)
        elif chance < TAKEN_OUT + MADE_WRONG:
            given = made_wrong(given, chooser) or given
    right = given.right[0] if given.right else None
    others = [one for place, one in enumerate(given.candidates) if place not in given.right]
    count = LIST - (right is not None)
    kept, rest = others[:HARDEST], others[HARDEST:]
    kept += chooser.sample(rest, min(len(rest), count - len(kept)))
    found = [] if right is None else [given.candidates[right]]
    return List(given.question, (*found, *kept), None if right is None else 0, given.answer)


def made_wrong(given: Example, chooser: random.Random) -> Example | None:
    """The example with a question that nothing answers: another number, another name, or the opposite.

    None where the question has none of these.
    """
    text = given.candidates[given.right[0]].text
    elsewhere = " ".join(one.text for place, one in enumerate(given.candidates) if place not in given.right)
    known = {*stems(text), *stems(given.question)}
    changed: list[str] = []
    for pattern in (_NUMBER, _NAME):
        fresh = sorted(
            {found for found in pattern.findall(elsewhere) if not known.intersection(stems(found))}
        )
        fresh = [word for word in fresh if word.lower() not in STOP_WORDS]
        for said in pattern.findall(f"{text} {given.question}"):
            place = re.search(rf"\b{re.escape(said)}\b", given.question, re.I)
            if fresh and place and said.lower() not in STOP_WORDS and place.start():
                other = chooser.choice(fresh)
                changed.append(given.question[: place.start()] + other + given.question[place.end() :])
    for place in re.finditer(r"[\w']+", given.question):
        if (other := _OPPOSITE.get(place[0].lower())) is not None:
            changed.append(given.question[: place.start()] + other + given.question[place.end() :])
    if not changed:
        return None
    question = chooser.choice(changed)
    if given.question.islower():
        question = question.lower()
    return replace(given, question=question, right=(), answer=None)
