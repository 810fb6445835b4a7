import pytest

from rag.evaluation.datasets import Dataset, Question
from rag.training.examples import Candidate, Example, example, is_held_out, read, without_answers, write
from rag.types import Passage, Sentence, Signals

NOTHING = Signals(0, 0, 0, 0, False, 0)
PASSAGES = (Passage("Rhine#1.txt", 0, 100, "", 0.9), Passage("Danube#0.txt", 50, 100, "", 0.8))
SENTENCES = tuple(
    Sentence(passage, start, start + len(text), text, 0.5, NOTHING, before=before)
    for passage, start, text, before in (
        (0, 20, "It rises in Chur.", "The Rhine is long. "),
        (1, 60, "Chur is far.", ""),
        (0, 0, "The Rhine is long.", ""),
    )
)
SET = Dataset("set", {}, ())


def test_a_sentence_of_the_right_document_with_the_answer_is_right_and_one_of_another_is_left_out():
    question = Question(
        "Where does it rise?", answers=("chur", "in Chur"), sources=frozenset({"Rhine#1.txt"})
    )
    assert example(SET, question, PASSAGES, SENTENCES) == Example(
        "set",
        is_held_out("Rhine#1.txt"),
        "Where does it rise?",
        (Candidate("It rises in Chur.", "The Rhine is long. "), Candidate("The Rhine is long.", "")),
        (0,),
        (9, 16),
    )


def test_a_question_without_an_answer_has_nothing_right():
    question = Question("Where?", answers=("Chur",), sources=frozenset({"Rhine#1.txt"}), answerable=False)
    found = example(SET, question, PASSAGES, SENTENCES)
    assert (len(found.candidates), found.right, found.answer) == (3, (), None)


@pytest.mark.parametrize(("start", "right"), [(20, (0,)), (28, (0,)), (30, ()), (4, (2,))])
def test_a_sentence_with_half_of_the_right_span_is_right(start, right):
    question = Question(
        "Why?", sources=frozenset({"Rhine#1.txt"}), spans=(("Rhine#1.txt", start, start + 17),)
    )
    assert example(SET, question, PASSAGES, SENTENCES).right == right


def test_all_parts_of_an_article_are_held_out_or_none():
    assert is_held_out("Rhine#1.txt") == is_held_out("Rhine#22.txt") == is_held_out("Rhine.txt")
    assert [
        title for title in ("Huguenot", "Harvard_University", "Normans", "Warsaw") if is_held_out(title)
    ] == [
        "Huguenot",
        "Harvard_University",
    ]


def test_what_answers_is_taken_out():
    given = Example(
        "set", False, "Why?", (Candidate("a", ""), Candidate("b", ""), Candidate("c", "")), (0, 2), (0, 1)
    )
    assert without_answers(given) == Example("set", False, "Why?", (Candidate("b", ""),), (), None)


def test_examples_are_read_as_they_were_written(tmp_path):
    given = [
        Example("set", True, "Où ?", (Candidate("là", "\n"),), (0,), (0, 2)),
        Example("set", False, "Why?", (), ()),
    ]
    write(iter(given), tmp_path / "examples.jsonl")
    assert read(tmp_path / "examples.jsonl") == given
