"""Evaluation sets on disk → documents and questions in one form.

A set is a folder of the evaluation data, known by its name (`READERS`), or one JSON Lines file of a
user's own questions. What can't be read is an `EvaluationError` that names the file and the line.
"""

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from rag.documents.folder import read_folder
from rag.errors import EvaluationError, shown
from rag.evaluation.jsonl import Row, read_lines, read_object
from rag.evaluation.metrics import Span
from rag.retrieval.query import MAX_QUESTION_CHARS
from rag.types import Document

_MAX_NAME_CHARS = 150


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

    `folder` is where the documents are files already, if they are, and `own` says that the questions are
    a user's, on the index that the settings name. `sentences` says that each span is one sentence that
    answers, rather than a part of what does; `conversations` that the questions end conversations.
    """

    name: str
    documents: Mapping[str, str]
    questions: tuple[Question, ...]
    folder: Path | None = None
    own: bool = False
    sentences: bool = False
    conversations: bool = False


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
    if name.endswith(".jsonl") or os.path.isfile(name):  # noqa: PTH113  false for a name that is too long
        return _own(Path(name), documents)
    raise EvaluationError(
        f"There is no set {name}. Sets: {' '.join(READERS)}; or name a .jsonl file of your own questions."
    )


def off_topic(dataset: Dataset, other: Dataset) -> Dataset:
    """The other set, asked the questions of this one, to which its documents have no answer."""
    questions = tuple(
        Question(question.text, history=question.history, answerable=False) for question in dataset.questions
    )
    return replace(other, questions=questions)


def source_of(number: str) -> str:
    """The file name of the document of a set with this id: one that any system can hold."""
    name = quote(number, safe="#,()'&+=@ ")
    if len(name) > _MAX_NAME_CHARS:
        name = f"{name[:_MAX_NAME_CHARS]}-{blake2b(number.encode(), digest_size=8).hexdigest()}"
    # A hidden file is not indexed.
    return f"{name.replace('.', '%2E', 1) if name.startswith('.') else name}.txt"


def _documents(path: Path) -> dict[str, str]:
    return {source_of(row.text("id")): row.text("text") for row in read_lines(path)}


def _texts(folder: Path) -> dict[str, str]:
    return {item.source: item.text for item in read_folder(folder) if isinstance(item, Document)}


def _sources(row: Row, name: str, documents: Mapping[str, str]) -> frozenset[str]:
    """The documents that a row names by their ids."""
    return frozenset(_known(row, source_of(number), documents) for number in row.texts(name))


def _known(row: Row, source: str, documents: Mapping[str, str]) -> str:
    if source not in documents:
        raise EvaluationError(f"{row.place} names {source}, which is not among the documents.")
    return source


def _span(row: Row, source: str, first: str, last: str, documents: Mapping[str, str]) -> Span:
    """A span that a row gives by the names of these fields."""
    start, end = row.whole_number(first), row.whole_number(last)
    if not 0 <= start < end <= len(documents[_known(row, source, documents)]):
        raise EvaluationError(f"{row.place}: {first} {start} and {last} {end} are no span of {source}.")
    return source, start, end


def _own(path: Path, folder: Path) -> Dataset:
    # The index alone is asked; a folder that is there lets the sources and quotes be checked.
    documents = _texts(folder) if folder.is_dir() else {}
    questions: list[Question] = []
    rated: dict[str, dict[str, Question]] = {}
    for row in read_lines(path):
        row.only("question", "answers", "sources", "rating", "text")
        text, answers = row.text("question"), row.texts_if_any("answers")
        if not text.strip() or len(text) > MAX_QUESTION_CHARS:
            raise EvaluationError(
                f"{row.place}: question has {len(text.strip()):,} characters; 1 to {MAX_QUESTION_CHARS:,} "
                "can be asked."
            )
        sources = row.texts_if_any("sources")
        if "rating" not in row:
            if documents:
                sources = tuple(_known(row, source, documents) for source in sources)
            judged = True if answers or sources else None
            questions.append(Question(text, answers=answers, sources=frozenset(sources), answerable=judged))
            continue
        # Of one answer the last rating counts; of the answers to one question the one rated last.
        of_this, rating = rated.setdefault(text, {}), row.choice("rating", "up", "down", None)
        of_this.pop(row.text("text"), None)
        there = frozenset(source for source in sources if source in documents or not documents)
        # What was right of documents that are all gone since is right no longer.
        if rating is not None and (there or not sources):
            judged = True if answers else False if rating == "up" else None
            of_this[row.text("text")] = Question(text, answers=answers, sources=there, answerable=judged)
    questions.extend([*found.values()][-1] for found in rated.values() if found)
    if not questions:
        raise EvaluationError(f"{shown(path)} has no question.")
    return Dataset(path.stem, documents, tuple(questions), own=True)


def _seeds(folder: Path, documents: Path) -> Dataset:
    rows = read_object(folder / "questions.json")
    texts = _texts(documents)
    answerable = [
        Question(
            row.text("question"),
            answers=row.texts("any_of"),
            sources=frozenset(_known(row, source, texts) for source in row.texts("sources")),
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

    return Dataset("chroma", documents, tuple(map(question, read_lines(folder / "questions.jsonl"))))


def _squad(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "paragraphs.jsonl")
    questions = (
        Question(
            row.text("question"),
            answers=row.texts("answers"),
            sources=_sources(row, "evidence_doc_ids", documents),
            answerable=row.text("type") == "answerable",
        )
        for row in read_lines(folder / "questions.jsonl")
    )
    return Dataset(folder.name, documents, tuple(questions))


def _wikipedia(folder: Path, _: Path) -> Dataset:
    documents = _documents(folder / "documents.jsonl.gz")

    def question(row: Row) -> Question:
        source = source_of(row.text("doc_id"))
        span = _span(row, source, "start", "end", documents)
        return Question(row.text("question"), sources=frozenset({source}), spans=(span,), answerable=True)

    questions = map(question, read_lines(folder / "sentence_questions.jsonl"))
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
        for row in read_lines(folder / "questions.jsonl")
    )
    return Dataset(folder.name, documents, tuple(question for question in questions if question.sources))


def _clapnq(folder: Path, _: Path) -> Dataset:
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for answerable in (True, False):
        for row in read_lines(folder / f"{'' if answerable else 'un'}answerable.jsonl"):
            source, text = source_of(row.text("id")), row.rows("passages", at_least=1)[0].text("text")
            documents[source] = text
            selected = dict.fromkeys(
                itertools.chain(*(output.texts("selected_sentences") for output in row.rows("output")))
            )
            spans = tuple(
                (source, text.index(sentence), text.index(sentence) + len(sentence))
                for sentence in selected
                if sentence and sentence in text
            )
            questions.append(
                Question(row.text("input"), sources=frozenset({source}), spans=spans, answerable=answerable)
            )
    return Dataset("clapnq", documents, tuple(questions), sentences=True)


def _multiturn(folder: Path, _: Path) -> Dataset:
    rewrites: dict[str, str] = {}
    for collection in ("clapnq", "fiqa"):
        asked = {row.text("_id"): _said(row) for row in read_lines(folder / f"{collection}_lastturn.jsonl")}
        for row in read_lines(folder / f"{collection}_rewrite.jsonl"):
            rewrites[asked.get(row.text("_id"), "")] = _said(row)
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for row in read_lines(folder / "tasks.jsonl"):
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


def _said(row: Row) -> str:
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
