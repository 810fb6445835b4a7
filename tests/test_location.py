"""What a model writes that no grammar held: only what stands in the evidence is quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.composition import Dropped
from rag.location import read_located
from rag.quotes import Short
from rag.types import Citation, Passage, Sentence, Signals

SIGNALS = Signals(0.5, 0.5, 0.5, 0.5, of_the_kind=False, lacking=0.0)
TEXT = "The war began in spring. He said “never again” and left.\r\nThe war began in spring, he wrote."
SPANS = [(0, 24), (25, 56), (58, len(TEXT))]
PASSAGES = (Passage("a.txt", 0, len(TEXT), TEXT, 1.0),)
EVIDENCE = [Sentence(0, start, end, TEXT[start:end], 1.0, SIGNALS) for start, end in SPANS]


def read(reply: str, *, borne_out: bool = True, max_quotes: int = 3) -> list:
    return list(
        read_located(
            [reply],
            EVIDENCE,
            PASSAGES,
            max_quotes=max_quotes,
            unsupported=lambda claim, quote: None if borne_out else "it isn't borne out",
            short=lambda sentence: sentence.text[:3],
        )
    )


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
    assert len([one for one in found if isinstance(one, Dropped)]) == ("“" in reply)


def test_each_quote_is_told_once_and_no_more_than_there_may_be():
    reply = " ".join(f"“{TEXT[start:end]}” [1]" for start, end in [SPANS[0], SPANS[0], SPANS[2]])
    assert len(quotes(read(reply))) == 2
    assert len(quotes(read(reply, max_quotes=1))) == 1


@pytest.mark.parametrize("mark", ["‘", "『", "`", "[9]", "”"])
def test_prose_has_no_marks_of_quotation(mark):
    found = read(f"He said {mark}so. “The war began in spring.” [1]")
    assert text(found) == "“The war began in spring.” [1]"


def test_prose_that_is_not_borne_out_is_dropped():
    found = read("It ended. “The war began in spring.” [1]", borne_out=False)
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
