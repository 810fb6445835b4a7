"""Blocks as bytes; the rest of the codec is tested by what the indexes keep (test_contract.py)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.documents.markdown import read_markdown
from rag.index.codec import key_of, pack_blocks, text_hash, unpack_blocks
from rag.types import Block, Chunk

HUT = (
    "# Huts\n\nAll of them.\n\n## Where is the key?\n\nUnder the mat.\n\n### Spare\n\nNone.\n\n"
    "## Prices\n\n| Hut | Price |\n|---|---|\n| Low | 9 |\n| High | 8 |\n\n# Boats\n\nOne.\n"
)


@st.composite
def documents(draw) -> tuple[Block, ...]:
    """Blocks in order that don't overlap."""
    kinds = st.sampled_from(["heading", "question", "paragraph", "item", "row", "metadata"])
    spans = st.tuples(st.integers(0, 3), st.integers(1, 9), kinds, st.integers(0, 3))
    headers = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=2).map(tuple)
    blocks, offset = [], 0
    for gap, length, kind, level in draw(st.lists(spans, max_size=20)):
        blocks.append(Block(kind, offset + gap, offset + gap + length, level, draw(headers)))
        offset += gap + length
    return tuple(blocks)


def expected(blocks: tuple[Block, ...], start: int, end: int) -> list[Block]:
    """Those with a character there, after the headings that stand above the first of them."""
    path: list[Block] = []
    for block in blocks:
        if block.end <= start and block.kind in ("heading", "question") and block.level:
            path = [*(one for one in path if one.level < block.level), block]
    return path + [block for block in blocks if block.end > start and block.start < end]


@settings(deadline=None)
@given(blocks=documents(), start=st.integers(0, 250), length=st.integers(1, 100))
def test_blocks_come_back_after_the_headings_above_them(blocks, start, length):
    packed = pack_blocks(blocks)
    assert unpack_blocks(packed, 0, 1_000) == blocks
    assert [*unpack_blocks(packed, start, start + length)] == expected(blocks, start, start + length)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("None.", ["# Huts", "## Where is the key?", "### Spare", "None."]),
        ("| High | 8 |", ["# Huts", "## Prices", "| High | 8 |"]),
        ("## Prices", ["# Huts", "## Where is the key?", "### Spare", "## Prices"]),
        ("One.", ["# Boats", "One."]),
        ("\n\nAll", ["# Huts", "All of them."]),
    ],
)
def test_the_headings_above_some_words(words, found):
    start = HUT.index(words)
    blocks = unpack_blocks(pack_blocks(read_markdown(HUT).blocks), start, start + len(words))
    assert [HUT[one.start : one.end] for one in blocks] == found


def test_headers_that_rows_share_are_kept_once():
    header = tuple((start, start + 3) for start in range(0, 400, 4))
    rows = tuple(Block("row", start, start + 9, 0, header) for start in range(400, 20_400, 10))
    packed = pack_blocks(rows)
    assert unpack_blocks(packed, 0, 30_000) == rows
    assert len(packed) < 20_000


def test_the_key_of_a_chunk_is_of_its_context_and_its_sentences_too():
    chunk = Chunk(10, 14, "War.", ((10, 14),), "News")
    assert key_of(chunk) == text_hash("News\nWar.", ((0, 4), (5, 9)))
    same = Chunk(0, 4, "War.", ((0, 4),), "News")
    assert key_of(same) == key_of(chunk)
    others = [
        Chunk(10, 14, "War.", ((10, 14),)),
        Chunk(10, 14, "War.", ((10, 13),), "News"),
        Chunk(10, 14, "War.", (), "News"),
    ]
    assert len({*map(key_of, [chunk, *others])}) == 4
