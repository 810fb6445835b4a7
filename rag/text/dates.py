"""Dates in file names and in metadata."""

import re
from datetime import date

_ISO = re.compile(
    r"(?<![0-9A-Za-z])(?:(\d{4})-(\d\d)-(\d\d)(?!\d)|((?:19|20)\d\d)(\d\d)(\d\d)(?![0-9A-Za-z]))", re.ASCII
)


def first_date(text: str) -> str | None:
    """The first valid date in the text, as YYYY-MM-DD; None if there is none.

    It is written YYYY-MM-DD, or YYYYMMDD from 1900 to 2099 with no digit or letter next to it.
    """
    for match in _ISO.finditer(text):
        year, month, day = (int(part) for part in match.groups() if part)
        try:
            return date(year, month, day).isoformat()
        except ValueError:  # such as 2017-13-45
            continue
    return None
