"""Questions on the seed articles whose answers are known, and the check of citations."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rag.settings import Settings
from rag.types import Answer, Citation, Passage
from tests.support import ROOT

QUESTIONS = json.loads((ROOT / "tests" / "questions.json").read_text("utf-8"))


def assert_exact(answer: Answer, settings: Settings) -> None:
    """Every citation is found in its file, at its offsets, and in the answer's text."""
    for citation in answer.citations:
        with (settings.documents / citation.source).open(encoding="utf-8", newline="") as file:
            assert file.read()[citation.start : citation.end] == citation.quote
        assert f"“{citation.quote}” [{citation.label}]" in answer.text
        assert any(
            passage.source == citation.source
            and passage.start <= citation.start
            and citation.end <= passage.end
            for passage in answer.passages
        )


def by_passage(found: Iterable[Any], passages: Sequence[Passage]) -> list[Any]:
    """Text and citations with the number of its passage in place of each label; the labels are 1, 2, 3."""
    items, label = list(found), 0
    for place, item in enumerate(items):
        if isinstance(item, Citation):
            label += 1
            assert item.label == label
            assert items[place - 1].endswith(f"[{label}]")
            number = next(n for n, passage in enumerate(passages, 1) if passage.source == item.source)
            items[place] = replace(item, label=number)
            items[place - 1] = f"{items[place - 1].removesuffix(f'[{label}]')}[{number}]"
    return items
