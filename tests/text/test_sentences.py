import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.text.sentences import sentences, sentences_of
from rag.types import Block
from tests.support.texts import PIECES


def split(text: str, max_chars: int = 300) -> list[str]:
    return [text[start:end] for start, end in sentences(text, max_chars=max_chars)]


@settings(deadline=None, max_examples=150)
@given(
    text=st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=300)),
    max_chars=st.integers(1, 400),
)
def test_sentences_are_trimmed_spans_in_order_that_cover_the_text(text, max_chars):
    """What is between them are marks such as bullets, and lines without a letter or a digit."""
    end = 0
    for start, stop in sentences(text, max_chars=max_chars):
        assert start >= end
        assert not any(map(str.isalnum, text[end:start]))
        assert text[start:stop].strip() == text[start:stop] != ""
        assert stop - start <= max_chars
        end = stop
    assert not any(map(str.isalnum, text[end:]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Dr. Smith of the U.S. Army arrived at 5 p.m. on Monday. He left at once.",
            ["Dr. Smith of the U.S. Army arrived at 5 p.m. on Monday.", "He left at once."],
        ),
        (
            '"We won," he said. "It is over." They cheered.',
            ['"We won," he said.', '"It is over."', "They cheered."],
        ),
        ("- one\n- two\n* three", ["one", "two", "three"]),
        ("War\n===\n\n# Peace\n---\n> > bread", ["War", "Peace", "bread"]),
        ("1. First things. \n2. Second things.", ["1. First things.", "2. Second things."]),
        ("War in the North\n\nThe war went on.", ["War in the North", "The war went on."]),
        ("Headline without an end\nThe first sentence.", ["Headline without an end", "The first sentence."]),
        (
            "The envoy said that the talks in the old town\nwould go on. They did.",
            ["The envoy said that the talks in the old town\nwould go on.", "They did."],
        ),
        (
            "The envoy said that the talks in the old town\r\nwould go on.\r\nThey did.",
            ["The envoy said that the talks in the old town\r\nwould go on.", "They did."],
        ),
        (
            "The envoy said that the talks in the old town\n\nwould go on.",
            ["The envoy said that the talks in the old town", "would go on."],
        ),
        ("战争结束了。和平来了！真的吗？", ["战争结束了。", "和平来了！", "真的吗？"]),
        ("", []),
        (" \r\n\t", []),
    ],
)
def test_splits(text, expected):
    assert split(text) == expected


def test_a_long_sentence_is_cut_after_a_clause():
    text = "The river rose in the night, the bread was gone; the salt stayed dry in its jar."

    assert split(text, 50) == [
        "The river rose in the night, the bread was gone;",
        "the salt stayed dry in its jar.",
    ]


def test_a_long_sentence_without_clauses_is_cut_after_a_word():
    assert split("bread salt river bread salt", 12) == ["bread salt", "river bread", "salt"]


def test_a_long_word_is_cut_anywhere():
    assert split("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_marks_that_end_an_emphasis_end_its_sentence():
    text = "1. **The key.** Ann has it. *Always.*"
    assert [text[start:end] for start, end in sentences(text)] == [
        "1. **The key.**",
        "Ann has it.",
        "*Always.*",
    ]


def test_a_row_has_no_bars_around_it():
    text = "| Low | 9 |"
    assert [text[a:b] for a, b in sentences_of(text, Block("row", 0, len(text)))] == ["Low | 9"]
