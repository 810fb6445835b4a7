"""Small documents with a structure, and what must be quoted of them: the folders of tests/cases.

Each has documents and a `case.json`: why it is one, and its steps. A step has a `question`, perhaps the
`history` before it, and what must hold of the answer: `quote_has`, one of these in a quote, or with
`all_in_one` all of them in one; `lacks`, none of these in a quote or the short answer; `short_lacks`, none of
these in the short answer; `source` and `context_has` of that quote; `declined`. Case and white space count
for nothing. `open` says why a step doesn't hold yet.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rag
from rag.interfaces.rendering import describe
from rag.types import Answer
from tests.support import ROOT

CASES = sorted(path.parent for path in (ROOT / "tests" / "cases").glob("*/case.json"))
KEYS = {
    *("question", "history", "quote_has", "all_in_one", "lacks", "short_lacks", "source", "context_has"),
    *("declined", "open"),
}


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


def wrong(step: dict[str, Any], answer: Answer) -> Iterator[str]:
    """What of the step doesn't hold."""
    assert not step.keys() - KEYS
    if (answer.abstained is not None) != step.get("declined", False):
        yield f"declined: {answer.abstained}"
        return
    wanted = [plain(words) for words in step.get("quote_has", ())]
    needed = all if step.get("all_in_one") else any
    right = [
        one for one in answer.citations if needed(words in plain(one.quote) for words in wanted or ("",))
    ]
    if not right and not step.get("declined"):
        yield f"no quote has {wanted}"
    short = plain(answer.short or "")
    said = [short, *(plain(one.quote) for one in answer.citations)]
    yield from (
        f"says {words}" for words in step.get("lacks", ()) if any(plain(words) in one for one in said)
    )
    yield from (
        f"the short answer says {words}" for words in step.get("short_lacks", ()) if plain(words) in short
    )
    if "source" in step and step["source"] not in [one.source for one in right]:
        yield f"not of {step['source']}"
    if "context_has" in step and not any(step["context_has"] in one.context for one in right):
        yield f"not under {step['context_has']}"


@pytest.mark.model
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_quoted(case: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    shutil.copytree(case, documents, ignore=shutil.ignore_patterns("case.json"))
    assert rag.build(documents, index=tmp_path / "index").failed == ()
    engine = rag.load(index=tmp_path / "index")

    problems: list[str] = []
    known: list[str] = []
    for step in json.loads((case / "case.json").read_text("utf-8"))["steps"]:
        answer = engine.answer(step["question"], history=[tuple(turn) for turn in step.get("history", ())])
        describe(answer)  # each quote is in a passage
        quoted = [(one.quote, one.source, one.context) for one in answer.citations]
        (known if "open" in step else problems).extend(
            f"{step['question']} {what}: short {answer.short!r}, quotes {quoted}"
            for what in wrong(step, answer)
        )
    assert problems == []
    if known:
        pytest.xfail("; ".join(known))
