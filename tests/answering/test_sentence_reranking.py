from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.sentence_reranking import (
    MAX_BEFORE_CHARS,
    MAX_QUESTION_CHARS,
    READ,
    READER_WEIGHT,
    SURE,
    marked,
    read,
    read_as,
)
from rag.types import Reading, Sentence, Signals
from tests.support.fakes import ScriptedReader

NOTHING = Signals(0, 0, 0, 0, False, 0)
ONE = Sentence(0, 20, 35, "It began\nin May.", 0.9, NOTHING, before="The war was long.\n ")
TWO = Sentence(0, 40, 50, "Snow fell.", 0.8, NOTHING)


def test_the_sentence_is_read_before_its_context():
    assert read_as("It began\nin May.", "The war was long.\n ") == "It began in May. « The war was long."
    assert read_as("It began.", "") == "It began."
    assert read_as("It began.", "x" * 300) == "It began. « " + "x" * MAX_BEFORE_CHARS


@given(st.text(), st.text())
def test_the_sentence_keeps_its_offsets(sentence, before):
    read = read_as(sentence, before)[: len(sentence)]
    assert [a == b or (a.isspace() and b == " ") for a, b in zip(sentence, read, strict=True)] == [
        True
    ] * len(sentence)


def test_what_the_reader_thinks_counts_in_the_order():
    reader = ScriptedReader({"It began in May.": -2.0, TWO.text: 3.0}, marks=(1, 2, 0.5))
    assert read(reader, "When?", [ONE, TWO]) == (
        replace(TWO, score=0.8 + 3 * READER_WEIGHT, reading=Reading(3.0, 1, 2, 0.5)),
        replace(ONE, score=0.9 - 2 * READER_WEIGHT, reading=Reading(-2.0, 1, 2, 0.5)),
    )
    assert reader.asked == [("When?", ["It began in May. « The war was long.", "Snow fell."])]


def test_of_a_long_question_the_end_is_read():
    reader = ScriptedReader({TWO.text: 0.0})
    read(reader, "x" * 500 + " When?", [TWO])
    assert reader.asked[0][0] == "x" * (MAX_QUESTION_CHARS - 6) + " When?"


@pytest.mark.parametrize("tail", [" " * 500, "\n" * 300, " 😀" * 200, "?" * 300])
def test_signs_and_blanks_after_a_question_do_not_take_its_place(tail):
    reader = ScriptedReader({TWO.text: 0.0})
    read(reader, "When did it fall" + tail, [TWO])
    assert reader.asked[0][0] == "When did it fall"


@pytest.mark.parametrize("question", ["?!", "😀", "..." * 100])
def test_a_question_without_a_word_is_not_read(question):
    reader = ScriptedReader({})
    assert read(reader, question, [ONE, TWO]) == (ONE, TWO)
    assert reader.asked == []


def test_only_the_best_are_read():
    many = [replace(TWO, start=number) for number in range(READ + 5)]
    found = read(ScriptedReader({TWO.text: 0.0}), "When?", many)
    assert [sentence.start for sentence in found] == list(range(READ))


@pytest.mark.parametrize(("probability", "short"), [(SURE, "in May"), (SURE - 0.01, None)])
def test_the_short_answer_is_what_the_reader_marks(probability, short):
    one = replace(ONE, text="It began in May.")
    assert marked(one, Reading(1.0, 9, 15, probability)) == short


@pytest.mark.parametrize(
    ("words", "short"),
    [
        ('"serious intentions', "serious intentions"),
        ('serious intentions"', "serious intentions"),
        ('"serious intentions"', '"serious intentions"'),
        ("“serious” (in part", None),
        ("in part)", "in part"),
        ("the “Red” Army", "the “Red” Army"),
        ("“", None),
        ("Assad’s army", "Assad’s army"),
    ],
)
def test_a_short_answer_has_both_halves_of_its_marks(words, short):
    one = replace(ONE, text=f"He spoke of {words}.")
    assert marked(one, Reading(1.0, 12, 12 + len(words), 1.0)) == short
