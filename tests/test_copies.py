import pytest

from rag.copies import NEAR, bands, nearness, shingles

STORY = " ".join(f"word{number}" for number in range(200))


def test_shingles_are_runs_of_three_words_whatever_their_case():
    assert shingles("The war, the PEACE and") == {
        ("the", "war", "the"),
        ("war", "the", "peace"),
        ("the", "peace", "and"),
    }
    assert shingles("The war") == {("the", "war")}
    assert shingles("") == {()}


def test_nearness_is_the_share_in_common():
    first, second = shingles("a b c d e"), shingles("a b c d f")
    assert nearness(first, second) == pytest.approx(2 / 4)
    assert nearness(first, first) == 1.0


def test_texts_that_are_near_share_a_band_and_others_do_not():
    edited = STORY.replace("word50", "other").replace("word150", "another")
    found = shingles(STORY)
    assert nearness(found, shingles(edited)) > NEAR
    assert {*bands(found)} & {*bands(shingles(edited))}
    assert not {*bands(found)} & {*bands(shingles(STORY.replace("word", "term")))}
    assert len(bands(found)) == 21
    assert bands(found) == bands(shingles(STORY.upper()))
