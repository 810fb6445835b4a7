"""What the commands print, but for answers (see `rag.interfaces.rendering`)."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.interfaces.rendering import matched, one_line, place, plain
from rag.types import BuildReport, Passage

if TYPE_CHECKING:
    from rag.indexing.doctor import Diagnosis


def summary(report: BuildReport) -> str:
    """What a build did, in one line."""
    counts = ", ".join(
        f"{len(getattr(report, kind))} {kind}"
        for kind in ("added", "changed", "removed", "unchanged", "failed")
    )
    return f"{counts} in {report.seconds:.1f} s"


def diagnosis(found: "Diagnosis") -> Iterator[str]:
    """What the doctor found, line by line: figures, notes, and faults if there are any."""
    if (figures := found.figures) is not None:
        share = figures.indexed_characters / figures.characters if figures.characters else 1.0
        yield f"documents: {figures.documents}, with a date: {figures.dated}; chunks: {figures.chunks}"
        if figures.near_duplicates is not None:
            yield f"near-duplicate documents: {figures.near_duplicates}"
        yield f"{share:.2%} of {figures.characters:,} characters are indexed"
        if figures.store_bytes is not None and figures.vectors_bytes is not None:
            yield f"store {figures.store_bytes / 1e6:.1f} MB, vectors {figures.vectors_bytes / 1e6:.1f} MB"
        yield f"embedder {figures.embedder} in {figures.precision}, {figures.dimension} dimensions"
        if figures.recall is not None:
            yield f"search finds {figures.recall:.1%} of what exact search finds"
    yield from found.notes
    if found.well:
        yield "All is well."
    for fault in found.faults:
        yield f"- {fault}"


def numbered(number: int, passage: Passage) -> str:
    """A passage that a search found: its place, its scores, its first words."""
    text = " ".join(plain(passage.text).split())
    scores = f"score {passage.score:.3f}; dense {matched(passage.dense)}; keyword {matched(passage.keyword)}"
    excerpt = f"{text[:300]}{'…' if len(text) > 300 else ''}"
    return f"{number}. {one_line(place(passage, passage))}\n   {scores}\n   {excerpt}"


def as_json(value: object) -> str:
    """The value as JSON that a person can read too."""
    return json.dumps(value, ensure_ascii=False, indent=2)
