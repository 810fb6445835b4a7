"""What a model writes that no grammar held: only what stands in the evidence is quoted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.composition import Dropped
from rag.answering.quote_matching import read_located
from rag.answering.quotes import Short
from rag.types import Citation, Passage, Reading, Sentence, Signals

SIGNALS = Signals(0.5, 0.5, 0.5, 0.5, of_the_kind=False, lacking=0.0)
TEXT = "The war began in spring. He said “never again” and left.\r\nThe war began in spring, he wrote."
SPANS = [(0, 24), (25, 56), (58, len(TEXT))]
PASSAGES = (Passage("a.txt", 0, len(TEXT), TEXT, 1.0),)
EVIDENCE = [Sentence(0, start, end, TEXT[start:end], 1.0, SIGNALS) for start, end in SPANS]


def read(
    reply: str,
    *,
    evidence=EVIDENCE,
    passages=PASSAGES,
    unsupported=lambda claim, quote: None,
    max_quotes: int = 3,
) -> list:
    return list(
        read_located(
            [reply],
            evidence,
            passages,
            max_quotes=max_quotes,
            unsupported=unsupported,
            short=lambda sentence: sentence.text[:3],
        )
    )


def test_what_a_reader_marked_is_the_short_answer_of_a_whole_quote_alone():
    read_by = [replace(one, reading=Reading(0.9, 8, 13, 0.9)) for one in EVIDENCE]
    asked: list[Sentence] = []

    def short(sentence: Sentence) -> None:
        asked.append(sentence)

    for reply in ("“The war began in spring.” [1]", "“war began in spring.” [1]"):
        list(read_located([reply], read_by, PASSAGES, max_quotes=1, unsupported=None, short=short))
    assert [(one.text, one.reading) for one in asked] == [
        ("The war began in spring.", read_by[0].reading),
        ("war began in spring.", None),
    ]


def quotes(found: list) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.quote) for one in found if isinstance(one, Citation)]


def text(found: list) -> str:
    return "".join(one for one in found if isinstance(one, str))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("It began. “The war began in spring.” [1]", (0, 24)),
        ('It began. "The war began in spring." [1]', (0, 24)),
        ("It began. «war began\nin   spring» [1].", (4, 23)),
        ("It began. “The war began in spring, he wrote.” [1]", (58, len(TEXT))),
        ("It began. “The war began in spring” [3]", (58, 81)),
        ("It began. “The war began in spring” [7]", (0, 23)),
        ("It began. “The war began in spring”", (0, 23)),
    ],
)
def test_a_quote_is_found_where_it_stands(reply, expected):
    found = read(reply)
    assert quotes(found) == [(*expected, TEXT[slice(*expected)])]
    assert text(found) == f"It began. “{TEXT[slice(*expected)]}” [1]"
    assert [one for one in found if isinstance(one, Short)] == [Short(TEXT[expected[0] :][:3])]


@pytest.mark.parametrize(
    "reply",
    [
        "It began. “The war began in summer.” [1]",
        "It began. “he war began in spring.” [1]",
        "It began. “the war began in spring.” [1]",
        "It began. “spring.” [1]",
        "It began. “The war began in spring. The war began in spring, he wrote.” [1]",
        "It began in spring [1].",
        "[0]",
        "",
    ],
)
def test_what_stands_nowhere_is_not_quoted(reply):
    found = read(reply)
    assert quotes(found) == []
    assert text(found) == ""
    dropped = " ".join(one.text for one in found if isinstance(one, Dropped))
    assert dropped.startswith("It began") == (reply not in ("[0]", ""))


@pytest.mark.parametrize("marks", ["“”", '""', "«»"])
def test_marks_in_the_document_close_no_quote(marks):
    said = TEXT[slice(*SPANS[1])]
    found = read(f'It is 5" tall. {marks[0]}{said}{marks[1]} [2] It began. “The war began in spring.” [1]')
    assert quotes(found) == [(*SPANS[1], said), (*SPANS[0], TEXT[slice(*SPANS[0])])]


def test_a_sentence_may_be_quoted_with_the_one_that_it_needs():
    evidence = replace(EVIDENCE[1], lead_in=TEXT[: SPANS[1][0]])
    found = list(
        read_located(
            [f"“{TEXT[: SPANS[1][1]]}” [1]"],
            [evidence],
            PASSAGES,
            max_quotes=3,
            unsupported=None,
            short=lambda _: None,
        )
    )
    assert quotes(found) == [(0, SPANS[1][1], TEXT[: SPANS[1][1]])]


def test_a_quote_of_what_stands_before_has_its_page_and_copies():
    of_both = {"led_page": 1, "led_copies": ("c.txt",)}
    of_it = {"page": 2, "copies": ("b.txt", "c.txt")}
    evidence = replace(EVIDENCE[1], lead_in=TEXT[: SPANS[1][0]], **of_it, **of_both)
    found = read("“The war began in spring.” [1] “again” and left.” [1]", evidence=[evidence])
    cited = [one for one in found if isinstance(one, Citation)]
    assert [(one.quote, one.page, one.copies) for one in cited] == [
        ("The war began in spring.", 1, ("c.txt",)),
        ("again” and left.", 2, ("b.txt", "c.txt")),
    ]


def test_a_part_of_a_sentence_without_blanks_is_found():
    text = "俄罗斯总统在莫斯科会见了来访的外国记者。"
    evidence = [Sentence(0, 0, len(text), text, 1.0, SIGNALS)]
    passages = (Passage("a.txt", 0, len(text), text, 1.0),)
    found = list(
        read_located(
            ["“总统在莫斯科会见了” [1]"],
            evidence,
            passages,
            max_quotes=3,
            unsupported=None,
            short=lambda _: None,
        )
    )
    assert quotes(found) == [(3, 12, "总统在莫斯科会见了")]


def test_without_prose_nothing_is_said_to_be_left_out():
    found = read("It began. “The war began in spring.” [1] Indeed.", unsupported=None)
    assert text(found) == "“The war began in spring.” [1]"
    assert not any(isinstance(one, Dropped) for one in found)


def test_each_quote_is_told_once_and_no_more_than_there_may_be():
    reply = " ".join(f"“{TEXT[start:end]}” [1]" for start, end in [SPANS[0], SPANS[0], SPANS[2]])
    assert len(quotes(read(reply))) == 2
    assert len(quotes(read(reply, max_quotes=1))) == 1


@pytest.mark.parametrize("mark", ["‘", "『", "`", "[9]", "”"])
def test_prose_has_no_marks_of_quotation(mark):
    found = read(f"He said {mark}so. “The war began in spring.” [1]")
    assert text(found) == "“The war began in spring.” [1]"


def test_prose_that_is_not_borne_out_is_dropped():
    found = read("It ended. “The war began in spring.” [1]", unsupported=lambda claim, quote: "no")
    assert text(found) == "“The war began in spring.” [1]"
    assert [one.text for one in found if isinstance(one, Dropped)] == ["It ended."]


@given(
    st.lists(st.sampled_from([*'“”"«»„[]19 \n.', "The war began in spring", "never again", "x"]), max_size=30)
)
def test_whatever_is_written_quotes_stand_in_the_document(pieces):
    found = read("".join(pieces))
    for start, end, quote in quotes(found):
        assert TEXT[start:end] == quote
    for line in text(found).splitlines():
        assert line.count("“") <= 2
