from rag.evaluation.evaluate import Report
from rag.evaluation.report import table


def test_the_table_has_a_column_for_each_set():
    one = Report("one", 1234, 5, "int8", {"search_ms": 12.6, "hit@1": 0.5}, {})
    two = Report("second", 6, 7, "fp32", {"search_ms": 3.2, "f1": 0.25}, {})
    assert table([one, two]).splitlines() == [
        "             one  second",
        "documents  1,234       6",
        "questions      5       7",
        "precision   int8    fp32",
        "search_ms     13       3",
        "hit@1      0.500       -",
        "f1             -   0.250",
    ]
