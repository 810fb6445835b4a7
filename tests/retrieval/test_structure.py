"""What a sentence is in its document, from the blocks around it."""

from collections.abc import Sequence

import pytest

from rag.documents.markdown import read_markdown
from rag.index.codec import pack_blocks, unpack_blocks
from rag.retrieval.structure import MAX_LIST_CHARS, Role, Structure
from rag.types import Block

HUT = """---
author: Ann Toll
---

# Huts

## Key

Where is the spare key?

Under the mat.

## Bring

Bring to the hut:

- a stove
  - with fuel
- rope

Then:

```sh
hut open
```

### Prices

In euros:

| Hut | Price |
|-----|-------|
| Low | 9 |
| High || 7 |

# Steps

1. Wake.
2. Walk.

* Rest.

- One.
- Two.

Done.
"""


class OneDocument:
    """The state of an index of one document."""

    def __init__(self, text: str, blocks: Sequence[Block] = ()) -> None:
        self._text = text
        self._packed = pack_blocks(blocks or read_markdown(text).blocks)

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        return self._text[start:end]

    def blocks(self, document: int, start: int, end: int):
        return unpack_blocks(self._packed, start, end)


def role(words: str, text: str = HUT, *, passage: tuple[int, int] | None = None) -> Role:
    """The role of a sentence, in a passage that is the whole text unless another is given."""
    structure = Structure(OneDocument(text), 1, *(passage or (0, len(text))), named="huts 2020")
    start = text.index(words)
    return structure.role(start, start + len(words))


@pytest.mark.parametrize(
    ("words", "kind", "headings", "led"),
    [
        ("Ann Toll", "metadata", "", ""),
        ("Under the mat.", "answer", "Huts › Key", "Where is the spare key?"),
        ("Bring to the hut:", "paragraph", "Huts › Bring", ""),
        ("a stove", "item", "Huts › Bring", "Bring to the hut:"),
        ("with fuel", "item", "Huts › Bring", "a stove"),
        ("hut open", "code", "Huts › Bring", "Then:"),
        ("Low", "row", "Huts › Bring › Prices", "In euros: Hut | Price"),
        ("High", "row", "Huts › Bring › Prices", "In euros: Hut | Price"),
        ("Rest.", "item", "Steps", ""),
        ("Done.", "paragraph", "Steps", ""),
    ],
)
def test_what_a_sentence_stands_under(words, kind, headings, led):
    found = role(words)
    assert (found.block.kind, found.headings, found.led) == (kind, headings, led)
    assert found.section == f"huts 2020 {headings}"
    assert (found.quotable, found.metadata) == (True, kind == "metadata")


@pytest.mark.parametrize("words", ["# Huts", "Where is the spare key?", "### Prices", "| Hut |", "|-----|"])
def test_what_says_nothing_by_itself_is_not_quotable(words):
    assert not role(words).quotable


WHOLE = "Bring to the hut:\n\n- a stove\n  - with fuel\n- rope"


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("Bring to the hut:", WHOLE),
        ("a stove", WHOLE),
        ("with fuel", WHOLE),
        ("rope", WHOLE),
        ("Then:", "Then:\n\n```sh\nhut open\n```"),
        ("hut open", "Then:\n\n```sh\nhut open\n```"),
        ("Wake.", "1. Wake.\n2. Walk.\n\n* Rest.\n\n- One.\n- Two."),
        ("Low", None),
        ("Under the mat.", None),
        ("Done.", None),
    ],
)
def test_a_list_and_a_code_are_quoted_with_what_leads_to_them(words, whole):
    found = role(words).whole
    assert (found and found.text) == whole
    if found is not None:
        assert HUT[found.start : found.end] == found.text


def test_of_what_leads_to_a_list_the_last_sentence_alone_is_quoted_with_it():
    text = "The hut is cold. Bring:\n\n- a stove\n- rope\n"
    assert role("The hut is cold.", text).whole is None
    assert role("Bring:", text).whole.text == "Bring:\n\n- a stove\n- rope"
    assert role("rope", text).whole.text == text.strip()


def test_without_blocks_all_is_one_paragraph():
    structure = Structure(OneDocument(HUT, [Block("heading", 10_000, 10_001, 1)]), 1, 0, 40, named="")
    found = structure.role(4, 8)
    assert (found.block.kind, found.quotable, found.whole) == ("paragraph", True, None)


def test_items_that_nothing_leads_to_are_quoted_alone():
    assert [role(words, "- One.\n- Two.\n").whole for words in ("One.", "Two.")] == [None, None]


def test_of_a_long_list_what_fits_is_quoted_with_the_line_before_it():
    items = [f"- item {number} " + "x" * 90 for number in range(10)]
    text = "Bring:\n\n" + "\n".join(items)
    fitting = "Bring:\n\n" + "\n".join(items[:5])
    assert len(fitting) <= MAX_LIST_CHARS < len(fitting) + len(items[5])
    assert [role(f"item {number}", text).whole is None for number in range(10)] == [False] * 5 + [True] * 5
    assert role("Bring:", text).whole.text == role("item 4", text).whole.text == fitting


def test_what_is_quoted_of_a_list_is_inside_its_passage():
    start, end = HUT.index("a stove"), HUT.index("\n- rope")
    assert role("with fuel", passage=(0, end)).whole.text == WHOLE.removesuffix("\n- rope")
    assert role("with fuel", passage=(start, len(HUT))).whole.text == WHOLE[WHOLE.index("a stove") :]
    assert role("a stove", passage=(start - 2, start + 7)).whole is None
    assert role("a stove", passage=(start, start + 7)).whole is None


def test_numbered_chapters_are_no_steps():
    text = f"1. Salt. {'It is dear. ' * 20}\n2. Bread. {'It is cheap. ' * 20}\n"
    assert [role(words, text).whole for words in ("Salt.", "Bread.")] == [None, None]


def test_a_list_is_not_cut_inside_an_item():
    end = HUT.index("fuel")
    assert role("a stove", passage=(0, end)).whole.text == "Bring to the hut:\n\n- a stove"
    assert role("with", passage=(0, end)).whole is None


def test_a_list_whose_first_item_does_not_fit_is_not_quoted_whole():
    text = "Bring:\n\n- " + "salt " * 200
    assert role("Bring:", text).whole is None


def test_what_stands_far_above_is_read_too():
    rows = "".join(f"| Hut {number} | {number} |\n" for number in range(1000))
    text = f"# Huts\n\n| Hut | Price |\n|---|---|\n{rows}"
    found = role("| Hut 999 |", text, passage=(len(text) - 50, len(text)))
    assert (found.headings, found.led, found.quotable) == ("Huts", "Hut | Price", True)


def test_a_cell_without_a_header_makes_no_header_of_the_first_row():
    text = "a | b\nc | d\n"
    rows = [Block("row", 0, 5, 0, ((0, 0), (0, 0))), Block("row", 6, 11, 0, ((0, 0), (0, 0)))]
    structure = Structure(OneDocument(text, rows), 1, 0, 11, named="")
    found = [structure.role(start, start + 5) for start in (0, 6)]
    assert [(role.quotable, role.led) for role in found] == [(True, "")] * 2


def test_the_passage_may_be_any_part_of_the_document():
    for start in range(0, len(HUT), 7):
        structure = Structure(OneDocument(HUT), 1, start, start + 40, named="")
        for offset in range(start, min(start + 40, len(HUT))):
            assert structure.text(start, offset) == HUT[start:offset]
            block = structure.role(offset, offset + 1).block
            assert not HUT[max(block.end, start) : offset].strip() or block.start <= offset < block.end
