"""What the commands print: text that no document can command the terminal with."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.interfaces.rendering import notes, place
from rag.types import Answer, BuildReport, Match, Passage

if TYPE_CHECKING:
    from rag.indexing.doctor import Diagnosis

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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


def sources(answer: Answer) -> str:
    """Where an answer's quotes stand, or what is nearest where it has none, and what is to be known of it."""
    return "\n".join([_cited(answer), *(f"\n{one_line(note)}" for note in notes(answer))])


def _cited(answer: Answer) -> str:
    if answer.abstained:
        nearest = [f"  {one_line(place(passage, passage))}" for passage in answer.passages[:3]]
        why = f"\nNo quote, because {answer.abstained}."
        return "\n".join([f"{why} Nearest passages:", *nearest]) if nearest else why
    return "\n" + "\n".join(
        f"[{citation.label}] {one_line(place(citation, answer.passages[citation.label - 1]))}"
        for citation in answer.citations
    )


def numbered(number: int, passage: Passage) -> str:
    """A passage that was searched for: where it stands, why it is there, how it begins."""
    text = " ".join(plain(passage.text).split())
    why = [f"score {passage.score:.3f}", _match("dense", passage.dense), _match("keyword", passage.keyword)]
    excerpt = f"{text[:300]}{'…' if len(text) > 300 else ''}"
    return f"{number}. {one_line(place(passage, passage))}\n   {'; '.join(why)}\n   {excerpt}"


def _match(search: str, match: Match | None) -> str:
    if match is None:
        return f"{search} none"
    return f"{search} {match.score:.3f}, {'not ranked' if match.rank is None else f'rank {match.rank}'}"


def plain(text: str) -> str:
    """The text without control characters, which could command the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """A document's name, or another text, on one line, so that none can look like a line of the answer."""
    return re.sub(r"\s", " ", plain(text))


def as_json(value: object) -> str:
    """The value as JSON that a person can read too."""
    return json.dumps(value, ensure_ascii=False, indent=2)
