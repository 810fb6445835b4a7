import random

import pytest

from rag.training.batches import HARDEST, LIST, drawn, epoch, made_wrong
from rag.training.examples import Candidate, Example

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
ANSWERED = Example("set", False, "Where does the Rhine rise?", CANDIDATES, (0,), (19, 23))
UNANSWERED = Example("set", False, "Where does it end?", CANDIDATES, ())


def test_what_answers_is_read_with_the_hardest_and_some_others():
    for seed in range(50):
        found = drawn(ANSWERED, random.Random(seed))
        assert len(found.candidates) == len(set(found.candidates)) == LIST
        if found.right is not None:
            assert (found.question, found.right) == (ANSWERED.question, 0)
            assert found.candidates[: 1 + HARDEST] == CANDIDATES[: 1 + HARDEST]
            assert found.answer == (19, 23)


def test_of_some_questions_the_answer_is_taken_out_or_made_wrong():
    found = [drawn(ANSWERED, random.Random(seed)) for seed in range(400)]
    taken_out = [one for one in found if CANDIDATES[0] not in one.candidates]
    wrong = [one for one in found if one.question != ANSWERED.question]
    assert 0.1 < len(taken_out) / 400 < 0.2
    assert 0.14 < len(wrong) / 400 < 0.26
    for one in (*taken_out, *wrong):
        assert (one.right, one.answer) == (None, None)
    assert all(CANDIDATES[0] in one.candidates for one in wrong)


def test_a_question_without_an_answer_stays_so():
    found = drawn(UNANSWERED, random.Random(0))
    assert (found.question, found.right, found.candidates[:HARDEST]) == (
        "Where does it end?",
        None,
        CANDIDATES[:HARDEST],
    )


def test_other_sentences_that_answer_are_not_read():
    example = Example("set", False, "Where?", CANDIDATES, (0, 1, 2))
    assert not {*CANDIDATES[1:3]} & {*drawn(example, random.Random(1)).candidates}


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
def test_a_question_is_made_wrong(question, expected):
    example = Example("set", False, question, CANDIDATES[:4], (0,))
    found = {made_wrong(example, random.Random(seed)) for seed in range(60)}
    assert {one and one.question for one in found} == expected
    assert {one and (one.right, one.answer) for one in found} <= {((), None), None}


def test_an_epoch_has_those_with_short_answers_twice():
    examples = [Example(name, False, name, CANDIDATES, ()) for name in ("squad2", "xquad", "clapnq")]
    assert sorted(one.question for one in epoch(examples, 0)) == ["clapnq", *["squad2"] * 2, *["xquad"] * 2]


def test_an_epoch_has_each_example_once_in_an_order_by_its_seed():
    examples = [Example("set", False, f"Why {number}?", CANDIDATES, ()) for number in range(30)]
    found = [one.question for one in epoch(examples, 3)]
    assert sorted(found) == sorted(one.question for one in examples)
    assert found == [one.question for one in epoch(examples, 3)]
    assert found != [one.question for one in epoch(examples, 4)]
