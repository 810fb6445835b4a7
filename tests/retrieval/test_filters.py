import datetime

import pytest

from rag.errors import QuestionError
from rag.retrieval.filters import scope
from rag.types import Scope


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, None),
        ("2016", None, Scope("2016-01-01", None)),
        (None, "2016", Scope(None, "2016-12-31")),
        ("2016-02", "2016-02", Scope("2016-02-01", "2016-02-29")),
        ("2016-5-3", "2016-05-12", Scope("2016-05-03", "2016-05-12")),
        (datetime.date(2016, 5, 12), datetime.datetime(2017, 1, 2, 3), Scope("2016-05-12", "2017-01-02")),
    ],
)
def test_a_year_a_month_and_a_day_are_whole(since, until, expected):
    assert scope(since, until) == expected


@pytest.mark.parametrize("given", ["May", "2016-13", "2015-02-29", "", "12.05.2016", 2016.5])
def test_what_is_no_date_is_told_of(given):
    with pytest.raises(QuestionError) as raised:
        scope(None, given)
    assert str(raised.value) == f"until is {given}; give a date such as 2016, 2016-05 or 2016-05-12."


def test_sources_are_taken_as_they_are_each_once():
    assert scope(None, None, ["b.txt", "a/ü.md", "b.txt"]) == Scope(None, None, ("b.txt", "a/ü.md"))
    assert scope("2016", None, ("a.txt",)) == Scope("2016-01-01", None, ("a.txt",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "No document is chosen. Choose one or more, or ask all of them."),
        ("a.txt", "sources is 'a.txt'; give a list of sources, such as [\"notes.txt\"]."),
        ("", "sources is ''; give a list of sources, such as [\"notes.txt\"]."),
        (["a.txt", 5], "sources is ['a.txt', 5]; give a list of sources, such as [\"notes.txt\"]."),
    ],
)
def test_what_are_no_sources_is_told_of(given, message):
    with pytest.raises(QuestionError) as raised:
        scope(None, None, given)
    assert str(raised.value) == message


def test_a_range_without_a_day_is_told_of():
    with pytest.raises(QuestionError) as raised:
        scope("2017", "2016-05")
    assert str(raised.value) == "since (2017) is after until (2016-05): swap them."
