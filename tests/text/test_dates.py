import pytest

from rag.text.dates import first_date


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-04-03", "2017-04-03"),
        ("report 2017-04-03 final", "2017-04-03"),
        ("2017-04-03T10:00:00Z", "2017-04-03"),
        ("20170403", "2017-04-03"),
        ("scan_20170403_1200", "2017-04-03"),
        ("1865-04-14", "1865-04-14"),
        ("2017-13-45 or 2018-02-03", "2018-02-03"),
        ("2017-02-29", None),
        ("0000-01-01", None),
        ("20171345", None),
        ("18650414", None),
        ("12017-04-03", None),
        ("2017-04-031", None),
        ("a20170403", None),
        ("20170403b", None),
        ("000_35875361a05a6b5d", None),
        ("٢٠١٧-٠٤-٠٣", None),
        ("3 April 2017", None),
        ("", None),
    ],
)
def test_the_first_date_that_the_calendar_has(text, expected):
    assert first_date(text) == expected
