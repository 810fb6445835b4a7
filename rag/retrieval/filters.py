"""Dates as people write them, and sources → the scope of a question: the documents that are asked."""

import calendar
import datetime
import re
from collections.abc import Sequence

from rag.errors import QuestionError
from rag.types import Scope

Date = str | datetime.date

_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def scope(since: Date | None, until: Date | None, sources: Sequence[str] | None = None) -> Scope | None:
    """The documents of `sources` dated from the first day of `since` to the last day of `until`.

    What is None limits nothing; None if all of it is. A date is a year, a month or a day: 2016, 2016-05,
    2016-05-12. `QuestionError` for anything else, for a range without a day and for an empty list of
    sources. Retrieval checks that the index has the sources.
    """
    if since is None and until is None and sources is None:
        return None
    first = None if since is None else _days("since", since)[0]
    last = None if until is None else _days("until", until)[1]
    if first is not None and last is not None and first > last:
        raise QuestionError(f"since ({since}) is after until ({until}): swap them.")
    return Scope(first, last, None if sources is None else _chosen(sources))


def _chosen(sources: Sequence[str]) -> tuple[str, ...]:
    """The sources, each once."""
    # A text is a sequence of texts too, but one letter is no document that anybody means.
    chosen = () if isinstance(sources, str) else tuple(dict.fromkeys(sources))
    if isinstance(sources, str) or not all(isinstance(source, str) for source in chosen):
        raise QuestionError(f'sources is {sources!r}; give a list of sources, such as ["notes.txt"].')
    if not chosen:
        raise QuestionError("No document is chosen. Choose one or more, or ask all of them.")
    return chosen


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
