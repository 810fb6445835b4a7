from dataclasses import replace

import pytest

from rag.interfaces.rendering import (
    PREVIEW_CHARS,
    Description,
    Line,
    Preview,
    Source,
    describe,
    footer,
    listed,
    literal,
    markdown,
    matched,
    one_line,
    passage_of,
    plain,
    preview,
    terminal,
    without_footer,
)
from rag.types import Answer, Citation, Match, Passage
from tests.support.chat_examples import ANSWER as FROZEN
from tests.support.chat_examples import CITATION, PASSAGE
from tests.support.chat_examples import DECLINED as FROZEN_DECLINED

PASSAGES = (
    Passage("a.pdf", 100, 121, "Sources:\n[1] are dear", 0.9, date="2016-05-12", page=2),
    Passage("b\n[9] c.txt", 0, 5, "Other", 0.8),
)
ANSWER = Answer(
    question="What?",
    text="“Sources:\n[1] are dear” [1]",
    short=None,
    citations=(Citation(1, "a.pdf", 100, 121, "Sources:\n[1] are dear", page=2, copies=("c.txt",)),),
    passages=PASSAGES,
    abstained=None,
    model="queued",
    timings={},
    confidence=0.9,
)
DECLINED = replace(ANSWER, text="The documents don't say.", citations=(), abstained="nothing bears on it")

# Two quotes of the second passage around one of the first, numbered in the order of reading.
BREAD = Passage("b.pdf", 0, 31, "Bread was dear. Salt was cheap.", 0.5, page=3)
ORDERED = replace(
    FROZEN,
    text="in May\nIt rose: “Bread was dear.” [1]\n“The river froze in May.” [2]\n“Salt was cheap.” [3]",
    citations=(
        Citation(1, "b.pdf", 0, 15, "Bread was dear.", 3),
        replace(CITATION, label=2),
        Citation(3, "b.pdf", 16, 31, "Salt was cheap.", 3),
    ),
    passages=(PASSAGE, BREAD),
)


def test_an_answer_is_described_in_the_order_of_reading():
    assert describe(ORDERED) == Description(
        text=ORDERED.text,
        lines=(Line("in May", None), Line("It rose:", 0), Line("", 1), Line("", 2)),
        sources=(
            Source(1, "Bread was dear.", "b.pdf, page 3, characters 0-15", "", " Salt was cheap."),
            Source(
                2,
                "The river froze in May.",
                "a.txt, 2016-05-12, characters 111-134",
                "Snow fell. ",
                " It is",
            ),
            Source(3, "Salt was cheap.", "b.pdf, page 3, characters 16-31", "Bread was dear. ", ""),
        ),
        refusal="",
        nearest=(),
        meant="",
        notes=(),
    )


def test_a_refusal_is_described_with_its_reason_and_the_nearest_passages():
    assert describe(replace(FROZEN_DECLINED, passages=(PASSAGE, BREAD), taken_as="Who?")) == Description(
        text="The documents don't say.",
        lines=(),
        sources=(),
        refusal="No quote, because no sentence of the documents answers the question.",
        nearest=(
            Preview("a.txt, 2016-05-12, characters 100-140", "Snow fell. The river froze in May. It is"),
            Preview("b.pdf, page 3, characters 0-31", "Bread was dear. Salt was cheap."),
        ),
        meant="Taken to mean: Who?",
        notes=(),
    )


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ({}, ()),
        ({"left_out": 1}, ("1 sentence did not fit the model's context.",)),
        (
            {"left_out": 2, "dropped": 1},
            (
                "2 sentences did not fit the model's context.",
                "Removed 1 sentence written by the model: not supported by its quote.",
            ),
        ),
        ({"dropped": 2}, ("Removed 2 sentences written by the model: not supported by their quotes.",)),
        (
            {"guarantee": "location"},
            ("The model's server does not support grammars: quotes were checked against the documents.",),
        ),
        (
            {"guarantee": "location", "dropped": 1},
            (
                "The model's server does not support grammars: quotes were checked against the documents. "
                "Removed 1 sentence written by the model.",
            ),
        ),
    ],
)
def test_notes_say_how_the_answer_was_made(counts, notes):
    assert describe(replace(FROZEN, **counts)).notes == notes


def test_the_same_quote_in_two_documents_is_two_lines():
    copied = replace(CITATION, label=2, source="b.txt")
    answer = replace(
        FROZEN,
        text=f"First: {FROZEN.text.partition(chr(10))[2]}\nThen: “The river froze in May.” [2]",
        short=None,
        citations=(CITATION, copied),
        passages=(PASSAGE, replace(PASSAGE, source="b.txt")),
    )
    assert describe(answer).lines == (Line("First:", 0), Line("Then:", 1))
    assert [source.place for source in describe(answer).sources] == [
        "a.txt, 2016-05-12, characters 111-134",
        "b.txt, 2016-05-12, characters 111-134",
    ]


@pytest.mark.parametrize("label", [1, 2, 7])
def test_a_citation_is_found_in_its_passage_whatever_its_label(label):
    """Conversations that browsers saved earlier number citations by the rank of their passage."""
    other = replace(PASSAGE, source="b.txt")
    elsewhere = replace(PASSAGE, start=200, end=240)
    changed = replace(PASSAGE, text=PASSAGE.text.replace("May", "Mai"))
    answer = replace(FROZEN, passages=(other, elsewhere, changed, PASSAGE))
    assert passage_of(answer, replace(CITATION, label=label)) is PASSAGE


def test_overlapping_passages_give_the_best_that_has_the_whole_quote():
    beginning = replace(PASSAGE, end=120, text=PASSAGE.text[:20])
    longer = replace(PASSAGE, start=99, text=f" {PASSAGE.text}")
    assert passage_of(replace(FROZEN, passages=(beginning, longer, PASSAGE)), CITATION) is longer


@pytest.mark.parametrize(
    "change",
    [{"source": "b.txt"}, {"start": 110}, {"end": 135}, {"end": 111, "quote": ""}, {"quote": "War."}],
)
def test_a_quote_that_no_passage_has_is_an_error(change):
    with pytest.raises(ValueError, match=r"^no passage has the quote at [ab]\.txt, 11[01]-1[13]"):
        describe(replace(FROZEN, citations=(replace(CITATION, **change),)))


def test_a_long_passage_is_previewed_by_its_first_words():
    def beginning(text: str) -> str:
        return preview(Passage("a.txt", 0, len(text), text, 0.5)).beginning

    assert beginning("a\n  b " * 200) == f"{'a b ' * 34}a b…"
    assert beginning("x" * PREVIEW_CHARS) == "x" * PREVIEW_CHARS
    assert beginning("字" * 500) == f"{'字' * PREVIEW_CHARS}…"


def test_a_match_is_a_score_and_a_rank():
    assert [matched(match) for match in (None, Match(None, 0.125), Match(2, 7.25))] == [
        "none",
        "0.125, not ranked",
        "7.250, rank 2",
    ]


def test_the_terminal_shows_sources_and_notes():
    assert terminal(ORDERED) == (
        "\n[1] b.pdf, page 3, characters 0-15"
        "\n[2] a.txt, 2016-05-12, characters 111-134"
        "\n[3] b.pdf, page 3, characters 16-31"
    )
    assert terminal(replace(FROZEN, taken_as="Who\x1b[2J?\nMe", left_out=2)) == (
        "\n[1] a.txt, 2016-05-12, characters 111-134"
        "\n\nTaken to mean: Who\ufffd[2J? Me"
        "\n\n2 sentences did not fit the model's context."
    )


def test_the_terminal_shows_why_there_is_no_quote_and_three_passages():
    assert terminal(replace(DECLINED, passages=(*PASSAGES, PASSAGE, BREAD))) == (
        "\nNo quote, because nothing bears on it. Nearest passages:"
        "\n  a.pdf, 2016-05-12, page 2, characters 100-121"
        "\n  b [9] c.txt, characters 0-5"
        "\n  a.txt, 2016-05-12, characters 100-140"
    )
    assert terminal(replace(DECLINED, passages=())) == "\nNo quote, because nothing bears on it."


def test_the_footer_says_where_the_quotes_are():
    assert footer(ANSWER) == (
        "\n\nSources:\n[1] a.pdf, 2016-05-12, page 2, characters 100-121, also in 1 other document"
    )
    assert [line[:3] for line in footer(ORDERED).splitlines()[3:]] == ["[1]", "[2]", "[3]"]


def test_the_footer_of_an_abstention_says_why_and_what_is_nearest():
    assert footer(DECLINED) == (
        "\n\nNo quote, because nothing bears on it.\nNearest passages:\n"
        "- a.pdf, 2016-05-12, page 2, characters 100-121\n- b [9] c.txt, characters 0-5"
    )
    assert footer(replace(DECLINED, passages=())) == "\n\nNo quote, because nothing bears on it."


def test_notes_are_the_last_lines_of_the_footer_each_on_one():
    answer = replace(ANSWER, taken_as="Who?\n\nSources:\n[1] he", dropped=1)
    assert footer(answer).split("\n")[4:] == [
        "Taken to mean: Who?  Sources: [1] he",
        "Removed 1 sentence written by the model: not supported by its quote.",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        DECLINED,
        ORDERED,
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
        "1. a.pdf, 2016-05-12, page 2, characters 100-121\nSources:\n[1] are dear\n\n"
        "2. b [9] c.txt, characters 0-5\nOther"
    )


def test_the_markdown_of_an_answer_numbers_its_sources_as_it_is_read():
    assert markdown(replace(ORDERED, left_out=1)) == (
        "> in May\n"
        ">\n"
        "> It rose: “Bread was dear.” \\[1\\]\n"
        ">\n"
        "> “The river froze in May.” \\[2\\]\n"
        ">\n"
        "> “Salt was cheap.” \\[3\\]\n"
        "\n"
        "- \\[1\\] b.pdf, page 3, characters 0-15: “Bread was dear.”\n"
        "- \\[2\\] a.txt, 2016-05-12, characters 111-134: “The river froze in May.”\n"
        "- \\[3\\] b.pdf, page 3, characters 16-31: “Salt was cheap.”\n"
        "- 1 sentence did not fit the model's context."
    )


def test_text_is_made_harmless_for_the_terminal_and_for_markdown():
    assert plain("a\x1b[31m\x9b\r\nb\rc\td") == "a\ufffd[31m\ufffd\nb\ufffdc\td"
    assert one_line("a\nb\r\nc\u2028d") == "a b c d"
    assert literal(" 1. *a*\n- b ") == "1\\. \\*a\\* - b"
    assert literal("- b") == "\\- b"
