"""Blocks that are inferred from plain text, and what every document's blocks are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.documents.markdown import read_markdown
from rag.text.blocks import blocks_of_text, ordered
from rag.types import Block
from tests.support.texts import HOSTILE, PIECES

MARKS = st.sampled_from(
    [
        *["- ", "  - ", "1. ", "> ", "# ", "IV. ", "\t", "    ", "\r", "\\|", "`", "```\n", "===\n", "---\n"],
        *["Q: Who?\n", "A: I.\n", "Name: Ann\n", "Bring:\n", "Part\n", "| a | b |\n", "|---|---|\n", "||\n"],
    ]
)
TEXTS = st.one_of(
    st.lists(st.one_of(PIECES, MARKS, st.sampled_from(HOSTILE)), max_size=40).map("".join),
    st.text(max_size=300),
)


def shown(text: str) -> list[tuple[str, int, str, list[str]]]:
    """(kind, level, text, texts of the header) of each block."""
    return [
        (one.kind, one.level, text[one.start : one.end], [text[a:b] for a, b in one.header])
        for one in blocks_of_text(text)
    ]


def kinds(text: str) -> list[tuple[str, str]]:
    return [(kind, words) for kind, _, words, _ in shown(text)]


def assert_sound(text: str, blocks: tuple[Block, ...]) -> None:
    """In order, apart, with all that isn't white space; what leads to a block isn't outside of the text."""
    end = 0
    for block in blocks:
        assert end <= block.start < block.end <= len(text)
        assert text[end : block.start].strip() == ""
        assert text[block.start : block.end].strip() == text[block.start : block.end]
        assert all(0 <= first <= last <= len(text) for first, last in block.header)
        end = block.end
    assert text[end:].strip() == ""


@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
def test_blocks_are_in_order_and_cover_a_text(text):
    assert_sound(text, blocks_of_text(text))


@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
def test_blocks_are_in_order_and_cover_a_markdown_text(text):
    assert_sound(text, read_markdown(text).blocks)


@pytest.mark.parametrize(
    "text",
    [
        "The keeper of the light at Sorrel Point was\nAgnes Toll, who left it in the spring of\n1874.",
        "The ceiling of the great hall was painted by\nA. Toll and his sons in winter, and it took\n9 weeks.",
        "The number of boats in the harbour had risen to\n24. The gate was closed on that day.",
        "What they asked of the owner of the old mill was:\nnothing. He went on as before.",
    ],
)
def test_a_wrapped_line_goes_on_with_whatever_begins_the_next(text):
    assert kinds(text) == [("paragraph", text)]


def test_a_line_that_ends_early_is_no_wrap():
    text = "Agnes Toll kept the light of Sorrel Point\nRoses\nTulips\n" + "A line of the greatest width. " * 3
    assert kinds(text) == [("paragraph", line) for line in map(str.strip, text.splitlines())]


def test_a_line_that_no_hand_wrapped_is_a_paragraph():
    first, second = "The harbour " * 20 + "froze.", "The harbour thawed"
    assert kinds(f"{first}\n{second}") == [("paragraph", first), ("paragraph", second)]


def test_items_are_led_by_what_stands_before_the_list_or_by_the_item_that_they_are_nested_in():
    text = (
        "Bring to the hut:\n\n- a stove\n  with fuel\n- rope\n  1. tie it\n  2. pull\n• salt\n\nThen rest.\n"
    )
    lead_in = ["Bring to the hut:"]
    assert shown(text) == [
        ("paragraph", 0, "Bring to the hut:", []),
        ("item", 1, "- a stove\n  with fuel", lead_in),
        ("item", 1, "- rope", lead_in),
        ("item", 2, "1. tie it", ["- rope"]),
        ("item", 2, "2. pull", ["- rope"]),
        ("item", 1, "• salt", lead_in),
        ("paragraph", 0, "Then rest.", []),
    ]


def test_a_list_with_letters_and_none_before_it():
    assert shown("a) bread\nb) salt\n\nNeeded too.\n\n- oil\n") == [
        ("item", 1, "a) bread", []),
        ("item", 1, "b) salt", []),
        ("paragraph", 0, "Needed too.", []),
        ("item", 1, "- oil", []),
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [("1. tie", True), ("(12) tie", True), ("a) tie", False), ("- 1", False), ("1", False)],
)
def test_an_item_with_a_number_is_a_step(item, expected):
    assert ordered(item) is expected


def test_labels_with_values_are_fields():
    assert shown("Name: Ann Toll\nBorn : 1874\nTrade: keeper\n  of a light\n") == [
        ("field", 0, "Name: Ann Toll", ["Name"]),
        ("field", 0, "Born : 1874", ["Born"]),
        ("field", 0, "Trade: keeper\n  of a light", ["Trade"]),
    ]
    assert shown("Price: it is high.") == [("paragraph", 0, "Price: it is high.", [])], "one alone is prose"


def test_headings_are_underlined_numbered_in_capitals_or_alone():
    text = (
        "Light\n=====\n\nKeepers\n-------\nOne of them.\n\n1. Duties\n\nTo wake.\n\n1.2 Pay\n\nNone.\n\n"
        "ON LEAVE\n\nNever.\n\nAt sea\n\nOften.\n"
    )
    headings = [(level, words) for kind, level, words, _ in shown(text) if kind == "heading"]
    assert headings == [
        (1, "Light"),
        (2, "Keepers"),
        (1, "1. Duties"),
        (2, "1.2 Pay"),
        (1, "ON LEAVE"),
        (2, "At sea"),
    ]
    assert [words for kind, words in kinds(text) if kind == "furniture"] == ["=====", "-------"]


@pytest.mark.parametrize(
    "text",
    [
        "Roses\n\nTulips\n\nLilies\n\nThey grow.",
        "The end",
        "Dear Ann,\n\nIt came.",
        "No more.\n\nIt left.",
        "-\n\nx",
    ],
)
def test_lines_alone_that_are_no_headings(text):
    assert "heading" not in [kind for kind, _ in kinds(text)]


def test_a_question_has_the_answer_after_it():
    assert shown("Q: Who pays?\nA: The owner.\n\nQ. Who else?\nA. Nobody.\n") == [
        ("question", 0, "Q: Who pays?", []),
        ("answer", 0, "A: The owner.", ["Q: Who pays?"]),
        ("question", 0, "Q. Who else?", []),
        ("answer", 0, "A. Nobody.", ["Q. Who else?"]),
    ]
    assert shown("Where is the key?\n\nUnder the mat.\n\nIt is old.\n\nWhy? Nobody knows.\n") == [
        ("question", 0, "Where is the key?", []),
        ("answer", 0, "Under the mat.", ["Where is the key?"]),
        ("paragraph", 0, "It is old.", []),
        ("paragraph", 0, "Why? Nobody knows.", []),
    ]


def test_quoted_lines_are_a_quotation():
    assert kinds("He wrote:\n> I never saw\n> such a wave.\nThen he left.") == [
        ("paragraph", "He wrote:"),
        ("quotation", "> I never saw\n> such a wave."),
        ("paragraph", "Then he left."),
    ]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\u2028"])
def test_other_line_ends(end):
    text = "Bring:\n- a\n- b\n\nLight\n=====\nIt burns.\n"
    assert kinds(text.replace("\n", end)) == kinds(text)


@pytest.mark.parametrize(
    "line",
    [
        *["x", "- x", "A: x", "Q: x?", "a: b", "> x", "#", "x\n", "x?\n", "x:\n- y", "===", "| a | b |"],
        *["||||", "|`", "[x]: y 'z", "<div>", "- > - x", "a|b\n-|-"],
    ],
)
def test_many_short_lines_are_read_at_once(line):
    """In time that grows with their number: with its square it would be minutes."""
    text = f"{line}\n" * (40_000 // (len(line) + 1))
    assert_sound(text, blocks_of_text(text))
    assert_sound(text, read_markdown(text).blocks)


@pytest.mark.parametrize("part", [*"x \t-#|`\\", "- ", "1.", "# ", "> ", "a: ", "?' ", "*_"])
def test_a_line_of_a_megabyte_is_read_at_once(part):
    text = "x\n" + part * (1_000_000 // len(part)) + "\nx"
    assert_sound(text, blocks_of_text(text))
    assert_sound(text, read_markdown(text).blocks)
