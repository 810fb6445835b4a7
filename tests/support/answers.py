"""Questions on the seed articles whose answers are known, and the check of citations."""

import json

from rag.settings import Settings
from rag.types import Answer
from tests.support import ROOT

QUESTIONS = json.loads((ROOT / "tests" / "questions.json").read_text("utf-8"))


def assert_exact(answer: Answer, settings: Settings) -> None:
    """Every citation is found in its file, at its offsets, and in the answer's text."""
    for citation in answer.citations:
        with (settings.documents / citation.source).open(encoding="utf-8", newline="") as file:
            assert file.read()[citation.start : citation.end] == citation.quote
        assert f"“{citation.quote}” [{citation.label}]" in answer.text
        assert answer.passages[citation.label - 1].source == citation.source
