import pytest

from rag.retrieval.expansion import widened

SENTENCES = [(0, 9), (10, 19), (20, 29), (30, 39), (40, 49)]


@pytest.mark.parametrize(
    ("max_chars", "expected"),
    [
        (9, (20, 29)),
        (18, (20, 29)),
        (19, (20, 39)),
        (28, (20, 39)),
        (29, (10, 39)),
        (39, (10, 49)),
        (99, (0, 49)),
    ],
)
def test_it_grows_by_whole_sentences_after_and_before_in_turn(max_chars, expected):
    assert widened((20, 29), SENTENCES, [], max_chars=max_chars) == expected


def test_it_grows_on_one_side_where_the_other_ends():
    assert widened((40, 49), SENTENCES, [], max_chars=29) == (20, 49)
    assert widened((0, 9), SENTENCES, [], max_chars=29) == (0, 29)


def test_it_does_not_grow_into_what_is_shown_already():
    assert widened((20, 29), SENTENCES, [(35, 49)], max_chars=99) == (0, 29)
    assert widened((20, 29), SENTENCES, [(0, 9)], max_chars=99) == (10, 49)
    assert widened((20, 29), SENTENCES, [(10, 20), (29, 39)], max_chars=99) == (20, 29)


def test_a_longer_span_stays_as_it_is():
    assert widened((10, 39), SENTENCES, [], max_chars=20) == (10, 39)
    assert widened((12, 15), [], [], max_chars=20) == (12, 15)
