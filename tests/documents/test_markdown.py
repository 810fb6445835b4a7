"""Markdown → its blocks; titles and dates are tested in test_folder.py."""

import pytest

from rag.documents.markdown import read_markdown


def shown(text: str) -> list[tuple[str, int, str, list[str]]]:
    """(kind, level, text, texts of the header) of each block."""
    return [
        (one.kind, one.level, text[one.start : one.end], [text[a:b] for a, b in one.header])
        for one in read_markdown(text).blocks
    ]


def kinds(text: str) -> list[tuple[str, str]]:
    return [(kind, words) for kind, _, words, _ in shown(text)]


def test_each_cell_of_a_row_has_the_cell_above_it_as_its_header():
    text = (
        "| Lamp | Weight | Life |\n|---|--:|---|\n| Marten | 92 g | 12 h |\n| Otter || 31 h |\n"
        "| Lynx | 75 g |\n| Stoat | 60 g | 8 h | 28 |\n"
    )
    lamp, weight, life = [(2, 6), (9, 15), (18, 22)]
    assert [text[a:b] for a, b in (lamp, weight, life)] == ["Lamp", "Weight", "Life"]
    assert [(one.kind, one.header) for one in read_markdown(text).blocks] == [
        ("row", ()),
        ("furniture", ()),
        ("row", (lamp, weight, life)),
        ("row", (lamp, weight, life)),
        ("row", (lamp, weight)),
        ("row", (lamp, weight, life, (0, 0))),
    ]


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("1 | 2", ["a", "b"]),
        ("1 |", ["a"]),
        ("| `x|y` | z \\| w |", ["a", "b"]),
        ("| 1 | \\|", ["a", "b"]),
        ("| ` | 2 |", ["a", "b"]),
        ("||", ["a"]),
    ],
)
def test_cells_with_and_without_bars_around_them(row, header):
    assert shown(f"a | b\n--|--\n{row}\n")[2] == ("row", 0, row, header)


def test_a_table_in_a_quotation_and_another_after_it():
    text = "> | a | b |\n> |---|---|\n> | 1 | 2 |\n\n| c |\n|---|\n| 3 |\n"
    assert [(words, header) for kind, _, words, header in shown(text) if kind == "row"] == [
        ("> | a | b |", []),
        ("> | 1 | 2 |", ["a", "b"]),
        ("| c |", []),
        ("| 3 |", ["c"]),
    ]


def test_headings_have_levels_and_the_line_under_them_is_none_of_it():
    assert shown("Two\nlines\n===\nPart\n----\n### Inside ###\n#hashtag\n") == [
        ("heading", 1, "Two\nlines", []),
        ("furniture", 0, "===", []),
        ("heading", 2, "Part", []),
        ("furniture", 0, "----", []),
        ("heading", 3, "### Inside ###", []),
        ("paragraph", 0, "#hashtag", []),
    ]


def test_code_is_led_by_the_line_before_it_and_has_no_headings():
    assert shown("To export, run:\n\n```sh\nlog\n# comment\n```\n\nOr not.\n\n    indented\n") == [
        ("paragraph", 0, "To export, run:", []),
        ("code", 0, "```sh\nlog\n# comment\n```", ["To export, run:"]),
        ("paragraph", 0, "Or not.", []),
        ("code", 0, "indented", []),
    ]


def test_code_in_a_list_is_led_by_its_item():
    assert shown("Then:\n\n1. Open it:\n\n       hut open\n\n2. Wait.\n\n       hut wait\n")[1:4] == [
        ("item", 1, "1. Open it:", ["Then:"]),
        ("code", 0, "hut open", ["1. Open it:"]),
        ("item", 1, "2. Wait.", []),
    ]


def test_items_are_led_by_what_stands_before_the_list_or_by_the_item_that_they_are_nested_in():
    text = "**Bring:**\n\n- stove\n  and fuel\n\n  or gas\n- rope\n  1. tie\n\n     - well\n* salt\n\nRest."
    lead_in = ["**Bring:**"]
    assert shown(text) == [
        ("paragraph", 0, "**Bring:**", []),
        ("item", 1, "- stove\n  and fuel", lead_in),
        ("item", 1, "or gas", lead_in),
        ("item", 1, "- rope", lead_in),
        ("item", 2, "1. tie", ["- rope"]),
        ("item", 3, "- well", ["1. tie"]),
        ("item", 1, "* salt", lead_in),
        ("paragraph", 0, "Rest.", []),
    ]


def test_front_matter_is_metadata_line_by_line():
    assert kinds("---\ntitle: The hut\ntags:\n  - a\n---\n\n# The hut\n") == [
        ("metadata", "---"),
        ("metadata", "title: The hut"),
        ("metadata", "tags:"),
        ("metadata", "- a"),
        ("metadata", "---"),
        ("heading", "# The hut"),
    ]


def test_a_rule_at_the_top_begins_no_front_matter():
    assert kinds("---\n\nThe hut\n\n---\n\nIts key.\n") == [
        ("furniture", "---"),
        ("paragraph", "The hut"),
        ("furniture", "---"),
        ("paragraph", "Its key."),
    ]


def test_questions_have_their_answers():
    text = (
        "## Where is the key? ##\n\nUnder the mat.\n\nIt is old.\n\n**Q: Who?**\n\nA: The owner.\n\nOr not."
    )
    assert shown(text) == [
        ("question", 2, "## Where is the key? ##", []),
        ("answer", 0, "Under the mat.", ["## Where is the key? ##"]),
        ("answer", 0, "It is old.", ["## Where is the key? ##"]),
        ("question", 0, "**Q: Who?**", []),
        ("answer", 0, "A: The owner.", ["**Q: Who?**"]),
        ("paragraph", 0, "Or not.", []),
    ]


def test_what_stands_in_a_quotation_is_a_quotation_but_for_its_list():
    assert kinds("> Said one.\n> Said two.\n>\n> - item\n\nNot he.\n") == [
        ("quotation", "> Said one.\n> Said two."),
        ("furniture", ">"),
        ("item", "> - item"),
        ("paragraph", "Not he."),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| a | b\n|---\nend", [("paragraph", "| a | b\n|---\nend")]),
        ("```\nnever closed\n\n# no", [("code", "```\nnever closed\n\n# no")]),
        ("<div>\nopen\n\n- x", [("paragraph", "<div>\nopen"), ("item", "- x")]),
        ("[1]: y 'never closed\n", [("paragraph", "[1]: y 'never closed")]),
        (
            "[1]: http://y 'title'\n\n* * *\n",
            [("paragraph", "[1]: http://y 'title'"), ("furniture", "* * *")],
        ),
        ("# \n#\nx", [("heading", "#"), ("heading", "#"), ("paragraph", "x")]),
        ("- \n-\n", [("furniture", "-"), ("furniture", "-")]),
        ("---\ntitle: open", [("furniture", "---"), ("paragraph", "title: open")]),
        ("\x00 \u2028 x\x85y", [("paragraph", "\x00 \u2028 x\x85y")]),
        ("", []),
        (" \r\n\t", []),
    ],
)
def test_broken_and_empty_markdown(text, expected):
    assert kinds(text) == expected


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends(end):
    text = "Bring:\n\n- a\n  b\n\n```\nx\n\ny\n```\n\n| c |\n|---|\n| d |\n\nLight\n=====\nIt burns.\n"
    assert kinds(text.replace("\n", end)) == [(kind, words.replace("\n", end)) for kind, words in kinds(text)]


def test_lists_nested_deeper_than_the_parser_goes_lose_nothing():
    text = "".join("  " * depth + f"- item {depth}\n" for depth in range(80))
    assert "".join("".join(words.split()) for _, words in kinds(text)) == "".join(text.split())
    assert shown(text)[10] == ("item", 11, "- item 10", ["- item 9"])
