"""Reports → a table."""

from collections.abc import Sequence

from rag.evaluation.evaluate import Report


def table(reports: Sequence[Report]) -> str:
    """A line for each metric and a column for each set; a dash where a metric isn't defined."""
    metrics = dict.fromkeys(name for report in reports for name in report.metrics)
    rows = [
        ["", *(report.name for report in reports)],
        ["documents", *(f"{report.documents:,}" for report in reports)],
        ["questions", *(f"{report.questions:,}" for report in reports)],
        ["precision", *(report.precision for report in reports)],
        *([name, *(_figure(report, name) for report in reports)] for name in metrics),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip() for row in rows
    )


def _figure(report: Report, name: str) -> str:
    if name not in report.metrics:
        return "-"
    value = report.metrics[name]
    return f"{value:.0f}" if name.endswith(("_ms", "_chars")) else f"{value:.3f}"
