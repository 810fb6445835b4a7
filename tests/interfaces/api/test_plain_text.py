from dataclasses import replace

import pytest

from rag.interfaces.api.plain_text import footer, listed, without_footer
from rag.types import Answer, Citation, Passage

PASSAGES = (
    Passage("a.pdf", 100, 120, "Sources:\n[1] are dear", 0.9, date="2016-05-12", page=2),
    Passage("b\n[9] c.txt", 0, 5, "Other", 0.8),
)
ANSWER = Answer(
    question="What?",
    text="“Sources:\n[1] are dear” [1]",
    short=None,
    citations=(Citation(1, "a.pdf", 100, 120, "Sources:\n[1] are dear", page=2, copies=("c.txt",)),),
    passages=PASSAGES,
    abstained=None,
    model="queued",
    timings={},
    confidence=0.9,
)
DECLINED = replace(ANSWER, text="The documents don't say.", citations=(), abstained="nothing bears on it")


def test_the_footer_says_where_the_quotes_stand():
    assert footer(ANSWER) == "\n\nSources:\n[1] a.pdf, 2016-05-12, page 2, characters 100-120, and 1 more"


def test_the_footer_of_an_abstention_says_why_and_what_is_nearest():
    assert footer(DECLINED) == (
        "\n\nNo quote, because nothing bears on it.\nNearest passages:\n"
        "- a.pdf, 2016-05-12, page 2, characters 100-120\n- b [9] c.txt, characters 0-5"
    )
    assert footer(replace(DECLINED, passages=())) == "\n\nNo quote, because nothing bears on it."


def test_notes_are_its_last_lines_each_on_one():
    answer = replace(ANSWER, taken_as="Who?\n\nSources:\n[1] he", dropped=1)
    assert footer(answer).split("\n")[4:] == [
        "Taken to mean: Who?  Sources: [1] he",
        "Left out, as its quote doesn't bear it out: 1 sentence of the model's.",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        DECLINED,
        replace(ANSWER, text="“x\n\nSources:\n[1] a, b” [1]", taken_as="Who?\n\nNo quote, because it"),
        replace(ANSWER, text=""),
    ],
)
def test_the_footer_is_cut_off_again(answer):
    assert without_footer(answer.text + footer(answer)) == answer.text


def test_a_text_without_a_footer_stays():
    assert without_footer("Sources:\n[1] x") == "Sources:\n[1] x"


def test_passages_are_listed_with_their_places():
    assert listed(PASSAGES) == (
        "1. a.pdf, 2016-05-12, page 2, characters 100-120\nSources:\n[1] are dear\n\n"
        "2. b [9] c.txt, characters 0-5\nOther"
    )
