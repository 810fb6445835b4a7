from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import wiring
from rag.documents.markdown import read_markdown
from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.text.chunking import MAX_CHARS, chunks, embedded_spans, embedded_text
from rag.text.sentences import sentences_of
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


def parts(text: str, **options) -> list[tuple[str, str]]:
    """(context, text) of each chunk of a Markdown text."""
    blocks = read_markdown(text).blocks
    found = chunks(text, blocks, count_tokens=characters, max_tokens=10_000, **options)
    assert_exact(text, found)
    return [(chunk.context, chunk.text) for chunk in found]


def test_a_chunk_has_the_title_the_headings_and_the_line_that_leads_to_it_as_its_context():
    items = "\n".join(f"- bread {'and salt ' * 45}{number}" for number in range(3))
    found = parts(f"# Huts\n\n## Bring\n\nBring to it:\n\n{items}\n\n# Boats\n\nOne.\n", title="The hills")

    assert [(context, text.split("\n")[0][:9]) for context, text in found] == [
        ("The hills", "# Huts"),
        ("The hills › Huts › Bring — Bring to it:", "- bread a"),
        ("The hills › Huts › Bring — Bring to it:", "- bread a"),
    ]


def test_a_row_has_its_header_as_its_context():
    rows = "".join(f"| Hut {number} | {'salt ' * 30}|\n" for number in range(9))
    found = parts(f"# Huts\n\n| Hut | Bring |\n|---|---|\n{rows}")

    assert [context for context, _ in found] == ["", "Huts — Hut | Bring", "Huts — Hut | Bring"]


def test_no_heading_is_left_at_the_end_of_a_chunk():
    first = "Salt rose. " * 71
    second = "Bread fell. " * 30
    found = parts(f"{first}\n\n# Bread\n\n## Of old\n\n{second}")

    assert found == [("", first.strip()), ("", f"# Bread\n\n## Of old\n\n{second.strip()}")]


def test_a_chunk_is_filled_whatever_sections_it_has():
    text = f"{'Salt rose. ' * 40}\n\n# Bread\n\nFell."
    assert parts(text) == [("", text)]


def test_a_long_context_is_cut_and_left_out_where_it_takes_half_of_the_room():
    text = (
        f"# {'Huts ' * 60}\n\n{'Salt rose. ' * 45}\n\n# Boats\n\n## {'Boats ' * 60}\n\n{'Bread fell. ' * 120}"
    )
    contexts = [context for context, _ in parts(text)]
    assert contexts[-1] == ("Boats " * 60).strip()[-160:]

    blocks = read_markdown(text).blocks
    found = chunks(text, blocks, count_tokens=characters, max_tokens=300)
    assert_exact(text, found)
    assert {chunk.context for chunk in found} == {""}
    assert max(len(chunk.text) for chunk in found) <= 300


def test_what_is_embedded_is_the_context_on_a_line_of_its_own_and_then_the_text():
    chunk = Chunk(100, 122, "War and peace.\n\nBread.", ((100, 114), (116, 122)), "Huts — Bring:")
    assert embedded_text(chunk) == "Huts — Bring:\nWar and peace.\n\nBread."
    assert embedded_spans(chunk) == ((0, 13), (14, 28), (30, 36))
    alone = replace(chunk, context="")
    assert (embedded_text(alone), embedded_spans(alone)) == (chunk.text, ((0, 14), (16, 22)))


@settings(deadline=None, max_examples=60)
@given(text=TEXTS, max_tokens=st.integers(20, 400), title=st.none() | st.text("ab ", min_size=1, max_size=30))
def test_the_sentences_of_chunks_are_those_of_the_blocks_or_parts_of_these(text, max_tokens, title):
    blocks = read_markdown(text).blocks
    found = chunks(text, blocks, title=title, count_tokens=characters, max_tokens=max_tokens)

    assert_exact(text, found)
    assert all(len(embedded_text(chunk)) <= max_tokens for chunk in found)
    whole = [span for block in blocks for span in sentences_of(text, block)]
    own = [(chunk, span) for chunk in found for span in chunk.sentences]
    assert [text[a:b] for chunk, (a, b) in own if not chunk.start <= a < b <= chunk.end] == []
    assert all(any(a <= start < end <= b for a, b in whole) for _, (start, end) in own)
    assert "".join("".join(text[a:b].split()) for a, b in whole) == "".join(
        "".join(text[a:b].split()) for _, (a, b) in own
    )
