from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.reading import MAX_BEFORE_CHARS, READ, READER_WEIGHT, SURE, marked, read, read_as
from rag.types import Sentence, Signals
from tests.conftest import ScriptedReader

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
    reader = ScriptedReader({"It began in May.": -2.0, TWO.text: 3.0})
    assert read(reader, "When?", [ONE, TWO]) == (
        replace(TWO, score=0.8 + 3 * READER_WEIGHT),
        replace(ONE, score=0.9 - 2 * READER_WEIGHT),
    )
    assert reader.asked == [("When?", ["It began in May. « The war was long.", "Snow fell."])]


def test_only_the_best_are_read():
    many = [replace(TWO, start=number) for number in range(READ + 5)]
    assert read(ScriptedReader({TWO.text: 0.0}), "When?", many) == tuple(many[:READ])


@pytest.mark.parametrize(("probability", "short"), [(SURE, "in May"), (SURE - 0.01, None)])
def test_the_short_answer_is_what_the_reader_marks(probability, short):
    reader = ScriptedReader({}, answer=((9, 15), probability))
    assert marked(reader, "When?", ONE) == short
