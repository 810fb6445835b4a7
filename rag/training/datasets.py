"""Evaluation sets on disk → `Dataset`s: what the reader is trained on, and what the project measures.

Users don't have these sets, so the wheel leaves this package out. A set is a folder, known by its name
(`READERS`). What can't be read is an `EvaluationError` that names the file and the line.
"""

import itertools
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from rag.errors import EvaluationError, shown
from rag.evaluation.datasets import (
    AbsentSetError,
    Dataset,
    Question,
    known_source,
    read_questions,
    read_texts,
)
from rag.evaluation.jsonl import Row, read_object, read_rows
from rag.evaluation.metrics import Span

_MAX_NAME_CHARS = 150


def read_dataset(name: str, bench: Path, documents: Path) -> Dataset:
    """The set of this name in the folder `bench`, or the questions of the .jsonl file of this name.

    `documents` is the folder on which the set `seeds` and the questions of a file are asked.
    `AbsentSetError` for a set that isn't there, `EvaluationError` for one that can't be read.
    """
    if name.endswith(".jsonl"):
        return read_questions(name, documents)
    if name not in READERS:
        raise EvaluationError(f"There is no set {name}. Name a .jsonl file, or one of {', '.join(READERS)}.")
    folder = bench / name
    if not folder.is_dir():
        raise AbsentSetError(f"there is no folder {shown(folder)}")
    return READERS[name](folder, documents)


def source_of(document_id: str) -> str:
    """The file name for a set's document: unique for each id, and valid on any system."""
    name = quote(document_id, safe="#,()'&+=@ ")
    if len(name) > _MAX_NAME_CHARS:
        name = f"{name[:_MAX_NAME_CHARS]}-{blake2b(document_id.encode(), digest_size=8).hexdigest()}"
    # A hidden file is not indexed.
    return f"{name.replace('.', '%2E', 1) if name.startswith('.') else name}.txt"


def _documents(path: Path) -> dict[str, str]:
    return {source_of(row.text("id")): row.text("text") for row in read_rows(path)}


def _sources(row: Row, name: str, documents: Mapping[str, str]) -> frozenset[str]:
    """The documents whose ids the row's field of this name lists."""
    return frozenset(known_source(row, source_of(number), documents) for number in row.texts(name))


def _span(row: Row, source: str, start_name: str, end_name: str, documents: Mapping[str, str]) -> Span:
    """The span whose offsets are the row's fields of these names."""
    start, end = row.whole_number(start_name), row.whole_number(end_name)
    if not 0 <= start < end <= len(documents[known_source(row, source, documents)]):
        raise EvaluationError(
            f"{row.place}: {start_name} {start} and {end_name} {end} are no span of {source}."
        )
    return source, start, end


def _seeds(folder: Path, documents: Path) -> Dataset:
    rows = read_object(folder / "questions.json")
    texts = read_texts(documents)
    answerable = [
        Question(
            row.text("question"),
            answers=row.texts("any_of"),
            sources=frozenset(known_source(row, source, texts) for source in row.texts("sources")),
            answerable=True,
        )
        for row in rows.rows("answerable")
    ]
    others = [Question(text, answerable=False) for text in rows.texts("unanswerable")]
    return Dataset("seeds", texts, (*answerable, *others), folder=documents)


def _chroma(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "documents.jsonl")

    def question(row: Row) -> Question:
        source = source_of(row.only_text("evidence_doc_ids"))
        spans = tuple(
            _span(part, source, "start_index", "end_index", documents)
            for part in row.rows("evidence", at_least=1)
        )
        return Question(row.text("question"), sources=frozenset({source}), spans=spans)

    return Dataset("chroma", documents, tuple(map(question, read_rows(folder / "questions.jsonl"))))


def _squad(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "paragraphs.jsonl")
    questions = (
        Question(
            row.text("question"),
            answers=row.texts("answers"),
            sources=_sources(row, "evidence_doc_ids", documents),
            answerable=row.text("type") == "answerable",
        )
        for row in read_rows(folder / "questions.jsonl")
    )
    return Dataset(folder.name, documents, tuple(questions))


def _wikipedia(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "documents.jsonl.gz")

    def question(row: Row) -> Question:
        source = source_of(row.text("doc_id"))
        span = _span(row, source, "start", "end", documents)
        return Question(row.text("question"), sources=frozenset({source}), spans=(span,), answerable=True)

    questions = map(question, read_rows(folder / "sentence_questions.jsonl"))
    return Dataset(folder.name, documents, tuple(questions), sentences=True)


def _news(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "documents.jsonl.gz")
    questions = (
        Question(
            row.text("question"),
            answers=row.texts("answers"),
            sources=_sources(row, "answer_bearing_doc_ids", documents),
            answerable=True,
        )
        for row in read_rows(folder / "questions.jsonl")
    )
    return Dataset(folder.name, documents, tuple(question for question in questions if question.sources))


def _clapnq(folder: Path, _: Path) -> Dataset:
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for answerable in (True, False):
        for row in read_rows(folder / f"{'' if answerable else 'un'}answerable.jsonl"):
            source, text = source_of(row.text("id")), row.rows("passages", at_least=1)[0].text("text")
            documents[source] = text
            selected = itertools.chain(*(output.texts("selected_sentences") for output in row.rows("output")))
            spans = tuple(
                (source, text.index(sentence), text.index(sentence) + len(sentence))
                for sentence in dict.fromkeys(selected)
                if sentence and sentence in text
            )
            questions.append(
                Question(row.text("input"), sources=frozenset({source}), spans=spans, answerable=answerable)
            )
    return Dataset("clapnq", documents, tuple(questions), sentences=True)


def _multiturn(folder: Path, _: Path) -> Dataset:
    rewrites: dict[str, str] = {}
    for collection in ("clapnq", "fiqa"):
        last_turns = {
            row.text("_id"): _user_text(row) for row in read_rows(folder / f"{collection}_lastturn.jsonl")
        }
        for row in read_rows(folder / f"{collection}_rewrite.jsonl"):
            rewrites[last_turns.get(row.text("_id"), "")] = _user_text(row)
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for row in read_rows(folder / "tasks.jsonl"):
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
    return Dataset("multiturn", documents, tuple(questions), conversations=True)


def _user_text(row: Row) -> str:
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
"""How each set is read: (its folder, the documents folder) → the set."""
