import pytest

from rag.evaluation.datasets import Dataset, Question
from rag.training.examples import Candidate, Example, is_held_out, make_example, read, without_answers, write
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
    assert make_example(SET, question, PASSAGES, SENTENCES) == Example(
        "set",
        True,
        "Where does it rise?",
        True,
        (Candidate("It rises in Chur.", "The Rhine is long. "), Candidate("The Rhine is long.", "")),
        (0,),
        (9, 16),
    )


def test_a_question_without_an_answer_has_nothing_right():
    question = Question("Where?", answers=("Chur",), sources=frozenset({"Rhine#1.txt"}), answerable=False)
    found = make_example(SET, question, PASSAGES, SENTENCES)
    assert (len(found.candidates), found.answerable, found.right, found.answer) == (3, False, (), None)


@pytest.mark.parametrize(
    ("start", "right", "left"),
    [(20, (0,), 3), (28, (0,), 3), (30, (), 2), (45, (), 3), (4, (1,), 2)],
)
def test_a_sentence_with_half_of_the_right_span_is_right_and_one_with_less_is_left_out(start, right, left):
    question = Question(
        "Why?", sources=frozenset({"Rhine#1.txt"}), spans=(("Rhine#1.txt", start, start + 17),)
    )
    found = make_example(SET, question, PASSAGES, SENTENCES)
    assert (found.right, len(found.candidates)) == (right, left)


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("In 1066, 10 men came.", ("10",), "10"),
        ("In 1066 men came.", ("10",), None),
        ("It rose in May 1914.", ("in May 1914", "May 1914"), "May 1914"),
    ],
)
def test_the_short_answer_is_whole_words(text, answers, expected):
    question = Question("How many?", answers=answers, sources=frozenset({"Rhine#1.txt"}))
    sentence = Sentence(0, 0, len(text), text, 0.5, NOTHING)
    found = make_example(SET, question, PASSAGES, [sentence]).answer
    assert (found and text[slice(*found)]) == expected


TITLES = ("Huguenot", "Normans", "Warsaw", "European_Union_law")


def test_all_parts_of_an_article_are_held_out_or_none():
    sources = [f"{title}{part}.txt" for title in TITLES for part in ("", "#0", "#17")]
    dataset = Dataset("squad2", {}, ())
    found = [is_held_out(dataset, Question("Why?", sources=frozenset({source}))) for source in sources]
    assert found == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


def test_a_set_that_nothing_is_learnt_from_is_held_out():
    assert is_held_out(SET, Question("Why?", sources=frozenset({"Huguenot#1.txt"})))


@pytest.mark.parametrize(("title", "others"), [("Huguenot", 1), ("Normans", 2)])
def test_what_is_held_out_is_not_read_with_what_is_learnt_from(title, others):
    passages = (Passage(f"{title}#1.txt", 0, 9, "", 0.9), Passage("Normans#2.txt", 0, 9, "", 0.8))
    sentences = [Sentence(passage, 0, 9, f"{passage} fish.", 0.5, NOTHING) for passage in (0, 1)]
    question = Question("Why?", answers=("cod",), sources=frozenset({f"{title}#1.txt"}))
    found = make_example(Dataset("squad2", {}, ()), question, passages, sentences)
    assert (found.held_out, len(found.candidates)) == (title == "Normans", others)


def test_what_answers_is_taken_out():
    three = (Candidate("a", ""), Candidate("b", ""), Candidate("c", ""))
    given = Example("set", False, "Why?", True, three, (0, 2), (0, 1))
    assert without_answers(given) == Example("set", False, "Why?", True, (three[1],), (), None)


def test_examples_are_read_as_they_were_written(tmp_path):
    given = [
        Example("set", True, "Où ?", True, (Candidate("là", "\n"),), (0,), (0, 2)),
        Example("set", False, "Why?", False, (), ()),
    ]
    write(iter(given), tmp_path / "examples.jsonl")
    assert read(tmp_path / "examples.jsonl") == given
