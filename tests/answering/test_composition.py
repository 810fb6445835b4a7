import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answering.composition import Dropped, read_composition
from rag.answering.quotes import Short
from rag.types import Citation, Passage, Sentence, Signals
from tests.support.answers import by_passage

PASSAGES = (Passage("a.txt", 0, 60, "", 0.9), Passage("b/c.md", 100, 140, "", 0.5))
NOTHING = Signals(0, 0, 0, 0, False, 0)
EVIDENCE = (
    Sentence(1, 105, 119, "He denied\nit.\t", 0.9, NOTHING),
    Sentence(0, 3, 14, "“No,” said.", 0.8, NOTHING),
    Sentence(0, 20, 29, "He denied", 0.7, NOTHING),
)
ONE = Citation(2, "b/c.md", 105, 119, "He denied\nit.\t")
TWO = Citation(1, "a.txt", 3, 14, "“No,” said.")
THREE = Citation(1, "a.txt", 20, 29, "He denied")


def wrong(claim: str, quote: str) -> str | None:
    return "wrong" if "wrong" in claim or "WRONG" in quote else None


def read(reply: str, size: int = 3, *, short=lambda _: None):
    pieces = [reply[start : start + size] for start in range(0, len(reply), size)]
    found = read_composition(pieces, EVIDENCE, PASSAGES, unsupported=wrong, short=short)
    return by_passage(found, PASSAGES)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_each_line_is_passed_on_with_its_citation(size):
    assert read("It was denied. “He denied\nit.\t” [1]\nHe said no: “He denied” [3]", size) == [
        *("It was denied. “He denied\nit.\t” [2]", ONE),
        *("\nHe said no: “He denied” [1]", THREE),
    ]


def test_what_was_said_is_not_said_again():
    assert read("It was so. It was so. “He denied” [3]\nIt was so. “He denied\nit.\t” [1]") == [
        *("It was so. “He denied” [1]", THREE, "\n“He denied\nit.\t” [2]", ONE),
    ]
    assert read("Wrong. wrong. wrong. “He denied” [3]").count(Dropped("wrong.", "wrong")) == 1


def test_the_short_answer_is_found_in_the_first_quote():
    reply = "It was denied. “He denied\nit.\t” [1]\nHe said no: “He denied” [3]"
    assert read(reply, short=lambda found: found.text[:2]) == [
        *("It was denied. “He denied\nit.\t” [2]", ONE, Short("He")),
        *("\nHe said no: “He denied” [1]", THREE),
    ]
    assert read(reply, short=lambda found: {"He denied": "He"}.get(found.text)) == read(reply)


def test_a_sentence_that_has_quotation_marks_is_found():
    assert read("No. ““No,” said.” [2]") == ["No. ““No,” said.” [1]", TWO]


def test_a_sentence_that_its_quote_does_not_bear_out_is_dropped():
    assert read("It is wrong. It was so. “He denied” [3]") == [
        *(Dropped("It is wrong.", "wrong"), "It was so. “He denied” [1]", THREE),
    ]
    assert read("It is wrong. “He denied” [3]") == [
        Dropped("It is wrong.", "wrong"),
        "“He denied” [1]",
        THREE,
    ]


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "",
            "[0]",
            "He denied it.",
            "He said “He denied it.” [1]",
            "So “He denied” [1]",
            "So “He denied” [4]",
        ),
        *("So “He denied”", "So “He denied", "So “", "So [3] “He denied” [3]", 'So "it" “He denied” [3]'),
        *("One\nSo “He denied” [3]", "war " * 1000),
    ],
)
def test_a_line_without_a_whole_quote_gives_nothing(reply):
    assert read(reply) == []


@pytest.mark.parametrize("after", ["\n", "\n[0]", " more", "\nAnd so on", "\nSo “he denied” [3]"])
def test_what_follows_the_last_quote_is_dropped(after):
    assert read("So: “He denied” [3]" + after) == ["So: “He denied” [1]", THREE]


WORDS = st.sampled_from(
    [*"“”[]123\n ", "He", " denied", "\nit.\t", "“No,”", " said.", "” [1]", "” [2]", "” [3]", "wrong", "So. "]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(WORDS | st.text(max_size=2), max_size=15))
def test_whatever_the_model_writes_quotes_are_exact_and_wrong_words_are_dropped(pieces):
    events = list(read_composition(pieces, EVIDENCE, PASSAGES, unsupported=wrong, short=lambda _: None))
    lines = [event for event in events if isinstance(event, str)]
    cited = [event for event in events if isinstance(event, Citation)]
    assert {*cited} <= {ONE, TWO, THREE}
    assert len(lines) == len(cited)
    for line, citation in zip(lines, cited, strict=True):
        own = line.removesuffix(f"“{citation.quote}” [{citation.label}]")
        assert own != line
        assert "wrong" not in own
        assert not {*own.strip("\n")} & {*"“[\n"}
