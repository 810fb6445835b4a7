"""Dates as people write them → the scope of a question: the documents that are asked."""

import calendar
import datetime
import re

from rag.errors import QuestionError
from rag.types import Scope

Date = str | datetime.date

_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def scope(since: Date | None, until: Date | None) -> Scope | None:
    """The documents dated from the first day of `since` to the last day of `until`; all of them without both.

    A date is a year, a month or a day: 2016, 2016-05, 2016-05-12. `QuestionError` for anything else, and for
    a range that has no day.
    """
    if since is None and until is None:
        return None
    first = "" if since is None else _days("since", since)[0]
    last = "9999-12-31" if until is None else _days("until", until)[1]
    if first > last:
        raise QuestionError(f"No day is since {since} and until {until}. Exchange them.")
    return Scope(first, last)


def _days(name: str, given: Date) -> tuple[str, str]:
    """The first and the last day that are meant, both ISO."""
    text = given.isoformat()[:10] if isinstance(given, datetime.date) else str(given).strip()
    if found := _DATE.fullmatch(text):
        year, month, day = (int(part or 0) for part in found.groups())
        try:
            first = datetime.date(year, month or 1, day or 1)
            last = datetime.date(year, month or 12, day or calendar.monthrange(year, month or 12)[1])
            return first.isoformat(), last.isoformat()
        except ValueError:
            pass
    raise QuestionError(f"{name} is {given}; give a date such as 2016, 2016-05 or 2016-05-12.")
