import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import wiring
from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.text.chunking import MAX_CHARS, chunks
from rag.types import Chunk
from tests.support import SEEDS
from tests.support.fakes import WordEmbedder
from tests.support.texts import PIECES

TEXTS = st.one_of(
    st.lists(PIECES, max_size=60).map("".join),
    st.builds(lambda pieces, n: "".join(pieces) * n, st.lists(PIECES, max_size=6), st.integers(1, 40)),
    st.text(max_size=300),
)


def assert_exact(text: str, found: tuple[Chunk, ...]) -> None:
    """Each chunk is its slice, in order, and between chunks there is only white space."""
    end = 0
    for chunk in found:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip() == chunk.text != ""
        assert text[end : chunk.start].strip() == ""
        assert chunk.start >= end
        end = chunk.end
    assert text[end:].strip() == ""


def characters(texts):
    return [len(text) for text in texts]


@settings(deadline=None, max_examples=80)
@given(text=TEXTS, max_tokens=st.integers(3, 60))
def test_chunks_are_slices_that_cover_the_text(text, max_tokens):
    embedder = WordEmbedder()
    found = chunks(text, count_tokens=embedder.count_tokens, max_tokens=max_tokens)

    assert_exact(text, found)
    assert all(len(chunk.text) <= MAX_CHARS for chunk in found)
    assert all(size <= max_tokens for size in embedder.count_tokens([chunk.text for chunk in found]))


@settings(deadline=None, max_examples=40)
@given(text=TEXTS, max_tokens=st.integers(1, 40))
def test_a_limit_inside_a_word_is_kept_too(text, max_tokens):
    found = chunks(text, count_tokens=characters, max_tokens=max_tokens)

    assert_exact(text, found)
    assert all(len(chunk.text) <= max_tokens for chunk in found)


@pytest.mark.parametrize("text", ["", " ", "\r\n\t \u2028"])
def test_white_space_has_no_chunks(text):
    assert chunks(text, count_tokens=characters, max_tokens=256) == ()


def test_a_short_text_is_one_chunk_without_the_white_space_around_it():
    text = "\n  War and peace.\n\nBread.  \n"

    assert chunks(text, count_tokens=characters, max_tokens=800) == (
        Chunk(3, 25, "War and peace.\n\nBread.", ((3, 17), (19, 25))),
    )


def test_a_repeated_paragraph_gets_its_own_offsets():
    paragraph = "river " * 83 + "bread."
    text = f"{paragraph}\r\n\r\n" * 3

    found = chunks(text, count_tokens=characters, max_tokens=800)

    step = len(paragraph) + 4
    assert found == tuple(
        Chunk(start, start + 504, paragraph, ((start, start + 395), (start + 396, start + 504)))
        for start in (0, step, 2 * step)
    )


def test_a_chunk_ends_with_a_sentence_not_with_an_abbreviation():
    first = "Salt " * 100 + "rose."
    second = "Then Dr. Brown of St. Ives " + "came " * 80 + "home."
    text = f"{first} {second}"

    found = chunks(text, count_tokens=characters, max_tokens=800)

    assert [chunk.text for chunk in found] == [first, second]


def test_no_chunk_is_longer_than_the_embedder_reads(seed_settings):
    embedder = wiring._embedder((find_embedder("embedded", download), "int8"))
    nasty = (
        "".join(path.read_text("utf-8") for path in sorted(SEEDS.glob("*.txt")))
        + "和平与战争。" * 200
        + "🌊👩‍👩‍👧" * 120
        + "Donaudampfschifffahrtsgesellschaftskapitän" * 60
        + "\r\n\t".join("1234567890!?#$%&/()=" * 10 for _ in range(8))
    )

    found = chunks(nasty, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens)

    assert embedder.max_tokens == 256
    assert_exact(nasty, found)
    assert max(embedder.count_tokens([chunk.text for chunk in found])) <= 256
    assert max(len(chunk.text) for chunk in found) <= MAX_CHARS
