"""Evaluation sets on disk → documents and questions in one form.

A set is a folder of the evaluation data, known by its name (`READERS`), or one JSON Lines file of a
user's own questions. What can't be read is an `EvaluationError` that names the file and the line.
"""

import gzip
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rag.documents import read_folder
from rag.errors import EvaluationError, shown
from rag.evaluation.metrics import Span
from rag.types import Document


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known to be right; what isn't known is empty or None.

    `history` is earlier (question, answer text) pairs, `rewrite` the question as a person put it to be
    asked alone. `answers` are strings one of which an answer should have, `sources` the documents that
    bear it, `spans` the exact places. `answerable` is False where the documents don't say, and None
    where that isn't known.
    """

    text: str
    history: tuple[tuple[str, str], ...] = ()
    rewrite: str | None = None
    answers: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    spans: tuple[Span, ...] = ()
    answerable: bool | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions on documents, which are texts by source.

    `own` says that the questions are a user's, on the index that the settings name. `sentences` says
    that each span is one sentence that answers, rather than a part of what does.
    """

    name: str
    documents: Mapping[str, str]
    questions: tuple[Question, ...]
    own: bool = False
    sentences: bool = False


class AbsentSetError(EvaluationError):
    """A set that is known, whose folder isn't there."""


def read_dataset(name: str, bench: Path, documents: Path) -> Dataset:
    """The set of this name in the folder `bench`, or the questions of the file of this name.

    `documents` is the folder on which the sets seeds and a user's own questions are asked.
    `AbsentSetError` for a set that isn't there, `EvaluationError` for one that can't be read.
    """
    if name in READERS:
        folder = bench / name
        if not folder.is_dir():
            raise AbsentSetError(f"there is no folder {shown(folder)}")
        return READERS[name](folder, documents)
    path = Path(name)
    if path.suffix == ".jsonl" or path.is_file():
        return Dataset(path.stem, _texts(documents), tuple(_own(row) for row in _rows(path)), own=True)
    raise EvaluationError(
        f"There is no set {name}. Sets: {' '.join(READERS)}; or name a .jsonl file of your own questions."
    )


class _Row:
    """One JSON object of a file; it knows its place, for the errors."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise EvaluationError(f"{place} is not a JSON object.")
        self._value, self._place = value, place

    def text(self, name: str) -> str:
        return str(self._get(name, str, "a text"))

    def whole_number(self, name: str) -> int:
        return int(self._get(name, int, "a whole number"))

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._get(name, list, "a list of texts")
        if not all(isinstance(item, str) for item in found):
            raise EvaluationError(f"{self._place}: {name} is not a list of texts.")
        return tuple(found)

    def texts_if_any(self, name: str) -> tuple[str, ...]:
        return self.texts(name) if name in self._value else ()

    def only_text(self, name: str) -> str:
        found = self.texts(name)
        if len(found) != 1:
            raise EvaluationError(f"{self._place}: {name} has {len(found)} texts, not 1.")
        return found[0]

    def rows(self, name: str, *, at_least: int = 0) -> "list[_Row]":
        found = self._get(name, list, "a list of objects")
        if len(found) < at_least:
            raise EvaluationError(f"{self._place}: {name} is empty.")
        return [_Row(item, f"{self._place}: {name}[{number}]") for number, item in enumerate(found)]

    def _get(self, name: str, kind: type, what: str) -> Any:
        if name not in self._value:
            raise EvaluationError(f"{self._place} lacks {name}.")
        if not isinstance(self._value[name], kind):
            raise EvaluationError(f"{self._place}: {name} is not {what}.")
        return self._value[name]


def _rows(path: Path) -> Iterator[_Row]:
    """The objects of a JSON Lines file, which may be compressed (`.gz`)."""
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _Row(json.loads(line.decode()), f"{shown(path)}, line {number}")
    except (json.JSONDecodeError, RecursionError) as error:
        raise EvaluationError(f"{shown(path)}, line {number} is not JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{shown(path)}, line {number} is not UTF-8 text.") from error
    except (OSError, EOFError) as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error


def source_of(number: str) -> str:
    """The file name of the document of a set with this id: any system can hold it."""
    name = quote(number, safe="#,()'&+=@ ") + ".txt"
    return name.replace(".", "%2E", 1) if name.startswith(".") else name  # a hidden file is not indexed


def _documents(path: Path) -> dict[str, str]:
    return {source_of(row.text("id")): row.text("text") for row in _rows(path)}


def _texts(folder: Path) -> dict[str, str]:
    return {item.source: item.text for item in read_folder(folder) if isinstance(item, Document)}


def _sources(row: _Row, name: str) -> frozenset[str]:
    return frozenset(map(source_of, row.texts(name)))


def _own(row: _Row) -> Question:
    answers, sources = row.texts_if_any("answers"), frozenset(row.texts_if_any("sources"))
    return Question(
        row.text("question"), answers=answers, sources=sources, answerable=True if answers else None
    )


def _seeds(folder: Path, documents: Path) -> Dataset:
    path = folder / "questions.json"
    try:
        rows = _Row(json.loads(path.read_text("utf-8")), shown(path))
    except OSError as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error
    except ValueError as error:
        raise EvaluationError(f"{shown(path)} is not JSON: {error}.") from error
    answerable = [
        Question(
            row.text("question"),
            answers=row.texts("any_of"),
            sources=frozenset(row.texts("sources")),
            answerable=True,
        )
        for row in rows.rows("answerable")
    ]
    others = [Question(text, answerable=False) for text in rows.texts("unanswerable")]
    return Dataset("seeds", _texts(documents), (*answerable, *others))


def _chroma(folder: Path, _: Path) -> Dataset:
    def question(row: _Row) -> Question:
        source = source_of(row.only_text("evidence_doc_ids"))
        spans = tuple(
            (source, span.whole_number("start_index"), span.whole_number("end_index"))
            for span in row.rows("evidence", at_least=1)
        )
        return Question(row.text("question"), sources=frozenset({source}), spans=spans)

    questions = map(question, _rows(folder / "questions.jsonl"))
    return Dataset("chroma", _documents(folder / "documents.jsonl"), tuple(questions))


def _squad(folder: Path, _: Path) -> Dataset:
    questions = (
        Question(
            row.text("question"),
            answers=row.texts("answers"),
            sources=_sources(row, "evidence_doc_ids"),
            answerable=row.text("type") == "answerable",
        )
        for row in _rows(folder / "questions.jsonl")
    )
    return Dataset(folder.name, _documents(folder / "paragraphs.jsonl"), tuple(questions))


def _wikipedia(folder: Path, _: Path) -> Dataset:
    def question(row: _Row) -> Question:
        source = source_of(row.text("doc_id"))
        span = (source, row.whole_number("start"), row.whole_number("end"))
        return Question(row.text("question"), sources=frozenset({source}), spans=(span,), answerable=True)

    questions = map(question, _rows(folder / "sentence_questions.jsonl"))
    return Dataset(folder.name, _documents(folder / "documents.jsonl.gz"), tuple(questions), sentences=True)


def _news(folder: Path, _: Path) -> Dataset:
    questions = (
        Question(
            row.text("question"),
            answers=row.texts("answers"),
            sources=_sources(row, "answer_bearing_doc_ids"),
            answerable=True,
        )
        for row in _rows(folder / "questions.jsonl")
    )
    bearing = tuple(question for question in questions if question.sources)
    return Dataset(folder.name, _documents(folder / "documents.jsonl.gz"), bearing)


def _clapnq(folder: Path, _: Path) -> Dataset:
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for row in itertools.chain(_rows(folder / "answerable.jsonl"), _rows(folder / "unanswerable.jsonl")):
        source, text = source_of(row.text("id")), row.rows("passages", at_least=1)[0].text("text")
        documents[source] = text
        selected = {
            s: text.find(s) for output in row.rows("output") for s in output.texts("selected_sentences")
        }
        spans = tuple((source, start, start + len(s)) for s, start in selected.items() if s and start >= 0)
        questions.append(
            Question(row.text("input"), sources=frozenset({source}), spans=spans, answerable=bool(spans))
        )
    return Dataset("clapnq", documents, tuple(questions), sentences=True)


def _multiturn(folder: Path, _: Path) -> Dataset:
    rewrites: dict[str, str] = {}
    for collection in ("clapnq", "fiqa"):
        asked = {row.text("_id"): _said(row) for row in _rows(folder / f"{collection}_lastturn.jsonl")}
        for row in _rows(folder / f"{collection}_rewrite.jsonl"):
            rewrites[asked.get(row.text("_id"), "")] = _said(row)
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for row in _rows(folder / "tasks.jsonl"):
        contexts = {source_of(context.text("id")): context.text("text") for context in row.rows("contexts")}
        documents.update(contexts)
        *earlier, last_turn = [turn.text("text").strip() for turn in row.rows("history", at_least=1)]
        questions.append(
            Question(
                last_turn,
                history=tuple(zip(earlier[::2], earlier[1::2], strict=False)),
                rewrite=rewrites.get(last_turn),
                sources=frozenset(contexts),
                answerable={"ANSWERABLE": True, "UNANSWERABLE": False}.get(row.only_text("answerability")),
            )
        )
    return Dataset("multiturn", documents, tuple(questions))


def _said(row: _Row) -> str:
    return row.text("text").removeprefix("|user|:").strip()


READERS: Mapping[str, Callable[[Path, Path], Dataset]] = {
    "seeds": _seeds,
    "chroma": _chroma,
    "squad2": _squad,
    "xquad": _squad,
    "wikipedia490": _wikipedia,
    "news2024": _news,
    "news2025": _news,
    "multiturn": _multiturn,
    "clapnq": _clapnq,
}
"""How each set is read."""
