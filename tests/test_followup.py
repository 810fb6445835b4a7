import pytest

from rag.errors import QuestionError
from rag.followup import standalone

KREMLIN = ("Who is the Kremlin spokesman?", "“Dmitry Peskov.” [1]")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Why?", "Who is the Kremlin spokesman? Why?"),
        ("And in 2015?", "Who is the Kremlin spokesman? And in 2015?"),
        ("What did he say about Syria?", "Who is the Kremlin spokesman? What did he say about Syria?"),
        ("Where is the city of Aleppo?", "Where is the city of Aleppo?"),
    ],
)
def test_a_question_that_goes_on_is_asked_after_the_last_one(question, expected):
    assert standalone(question, [KREMLIN]) == expected


def test_a_chain_of_follow_ups_goes_back_to_its_topic():
    history = [("Where is the city of Aleppo?", "a"), KREMLIN, ("Why?", "b"), ("What did he say then?", "c")]
    assert standalone("When?", history) == "Who is the Kremlin spokesman? When?"


def test_without_a_topic_the_question_stands_alone():
    assert standalone("Why?", []) == "Why?"
    assert standalone("Why?", [("Who?", "a"), ("", "b")]) == "Why?"


def test_the_answers_are_not_searched_for():
    assert "Peskov" not in standalone("Why?", [KREMLIN])


@pytest.mark.parametrize(
    "history",
    [
        None,
        3,
        "ab",
        ["ab"],
        ["question"],
        [("question",)],
        [("question", "answer", "more")],
        [(1, "answer")],
        [("question", None)],
        [{"role": "user", "content": "Who is the Kremlin spokesman?"}],
    ],
)
def test_a_bad_history_is_told_of(history):
    with pytest.raises(QuestionError) as raised:
        standalone("Why?", history)
    assert str(raised.value) == (
        "history must be pairs of texts, oldest first: [(question, answer text), ...]"
    )


def test_a_history_of_lists_is_read_like_one_of_tuples():
    assert standalone("Why?", [list(KREMLIN)]) == "Who is the Kremlin spokesman? Why?"
