import random

import numpy as np
import pytest

from rag.text.near_duplicates import NEAR, bands, min_hashes, nearness, said_in, shingles

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
    hashes, other = min_hashes(found), min_hashes(shingles(edited))
    assert (hashes == other).mean() == pytest.approx(nearness(found, shingles(edited)), abs=0.1)
    assert {*bands(hashes)} & {*bands(other)}
    assert not {*bands(hashes)} & {*bands(min_hashes(shingles(STORY.replace("word", "term"))))}
    assert len(bands(hashes)) == 21
    assert bands(hashes) == bands(min_hashes(shingles(STORY.upper())))


def test_hashes_in_common_are_as_many_as_runs_in_common():
    chooser = random.Random(0)
    estimates, shares = [], []
    for number in range(200):
        words = [f"{chooser.choice('abcdef')}{n}" for n in range(300)]
        edited = [w if chooser.random() > number / 1000 else f"x{n}" for n, w in enumerate(words)]
        first, second = shingles(" ".join(words)), shingles(" ".join(edited))
        shares.append(nearness(first, second))
        estimates.append(float((min_hashes(first) == min_hashes(second)).mean()))
    errors = np.array(estimates) - np.array(shares)
    # The share of 126 hashes is binomial: its standard deviation is at most 0.045, of the mean of 200 0.003.
    assert abs(errors.mean()) < 0.01
    assert errors.std() < 0.06
    assert min(shares) < 0.5 < NEAR < max(shares)


def test_hashes_never_change():
    """An index keeps them: what a later version makes has to be comparable."""
    assert min_hashes(shingles(STORY))[:3].tolist() == [23240005, 26406131, 62782296]


def test_a_part_of_a_text_is_said_in_it():
    assert said_in("the peace") in said_in("War, and THE peace.")
    assert said_in("he peace") not in said_in("War, and the peace.")
