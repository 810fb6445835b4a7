import random

import pytest

from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.training.batches import HARDEST, LIST_SIZE, draw, epoch, with_word_swapped
from rag.training.examples import Candidate, Example
from rag.training.siblings import Siblings

pytestmark = pytest.mark.model

TEXTS = (
    "The Rhine rises in Chur.",
    "Old mill.",
    "On it lies Basel.",
    "In 1817 Tulla began.",
    "Fish.",
    "Cod.",
    "Eel.",
)
CANDIDATES = tuple(Candidate(text, f"before {place}") for place, text in enumerate(TEXTS))
ANSWERED = Example("set", False, "Where does the Rhine rise?", True, CANDIDATES, (0,), (19, 23))
UNANSWERED = Example("set", False, "Where does it end?", False, CANDIDATES, ())


@pytest.fixture(scope="module")
def siblings() -> Siblings:
    return Siblings(find_embedder("embedded", download).path.parent)


def test_what_answers_is_read_with_the_hardest_and_some_others(siblings):
    for seed in range(50):
        found = draw(ANSWERED, siblings, random.Random(seed))
        assert len(found.candidates) == len(set(found.candidates)) == LIST_SIZE
        if found.right is not None:
            assert (found.question, found.right) == (ANSWERED.question, 0)
            assert found.candidates[: 1 + HARDEST] == CANDIDATES[: 1 + HARDEST]
            assert found.answer == (19, 23)


def test_some_questions_lose_their_answer_or_get_another_word(siblings):
    found = [draw(ANSWERED, siblings, random.Random(seed)) for seed in range(400)]
    taken_out = [one for one in found if CANDIDATES[0] not in one.candidates]
    wrong = [one for one in found if one.question != ANSWERED.question]
    assert 0.1 < len(taken_out) / 400 < 0.2
    assert 0.19 < len(wrong) / 400 < 0.31
    for one in (*taken_out, *wrong):
        assert (one.right, one.answer) == (None, None)
    assert all(CANDIDATES[0] in one.candidates for one in wrong)


def test_a_question_without_an_answer_stays_so(siblings):
    found = draw(UNANSWERED, siblings, random.Random(0))
    assert (found.question, found.right, found.candidates[:HARDEST]) == (
        "Where does it end?",
        None,
        CANDIDATES[:HARDEST],
    )


def test_other_sentences_that_answer_are_not_read(siblings):
    example = Example("set", False, "Where?", True, CANDIDATES, (0, 1, 2))
    assert not {*CANDIDATES[1:3]} & {*draw(example, siblings, random.Random(1)).candidates}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Where does the Rhine rise?",
            {"Where does the Basel rise?", "Where does the Tulla rise?", "Where doesn't the Rhine rise?"},
        ),
        (
            "where does the rhine rise?",
            {"where does the basel rise?", "where does the tulla rise?", "where doesn't the rhine rise?"},
        ),
        ("What happened first?", {"What happened last?"}),
        ("Why?", {None}),
    ],
)
def test_a_word_of_a_question_is_swapped(siblings, question, expected):
    example = Example("set", False, question, True, CANDIDATES[:4], (0,))
    found = {with_word_swapped(example, siblings, random.Random(seed)) for seed in range(60)}
    assert {one and one.question for one in found} == expected
    assert {one and (one.right, one.answer) for one in found} <= {((), None), None}


def test_the_sentence_that_answered_is_read_with_the_changed_question(siblings):
    last = Example("set", False, "Where is the eel?", True, CANDIDATES, (6,))
    for seed in range(30):
        found = with_word_swapped(last, siblings, random.Random(seed))
        assert draw(found, siblings, random.Random(seed)).candidates[0] == CANDIDATES[6]


def test_a_sentence_that_may_answer_the_changed_question_is_not_read(siblings):
    candidates = [
        Candidate(text, "") for text in ("Bell was born in 1847.", "In 1856 Tesla was born.", "Fish.")
    ]
    given = Example("set", False, "When was Bell born?", True, tuple(candidates), (0,))
    found = {with_word_swapped(given, siblings, random.Random(seed)) for seed in range(60)}
    of_tesla = [one for one in found if one.question == "When was Tesla born?"]
    assert [one.candidates for one in of_tesla] == [(candidates[0], candidates[2])]


def test_how_short_something_is_that_is_long_is_no_other_question(siblings):
    given = Example("set", False, "How long is it?", True, CANDIDATES[:1], (0,))
    found = {with_word_swapped(given, siblings, random.Random(seed)).question for seed in range(20)}
    assert found == {"How long isn't it?"}


def test_an_epoch_has_some_sets_more_than_once(siblings):
    examples = [Example(name, False, name, False, CANDIDATES, ()) for name in ("squad2", "xquad", "clapnq")]
    assert sorted(one.question for one in epoch(examples, siblings, 0)) == [
        "clapnq",
        *["squad2"] * 3,
        *["xquad"] * 2,
    ]


def test_an_epoch_has_each_example_once_in_an_order_by_its_seed(siblings):
    examples = [Example("set", False, f"Why {number}?", False, CANDIDATES, ()) for number in range(30)]
    found = [one.question for one in epoch(examples, siblings, 3)]
    assert sorted(found) == sorted(one.question for one in examples)
    assert found == [one.question for one in epoch(examples, siblings, 3)]
    assert found != [one.question for one in epoch(examples, siblings, 4)]
