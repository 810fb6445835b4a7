"""A user's own questions, one JSON object a line → a `Dataset`.

The evaluation sets of this project's developers become the same form in `rag.training.datasets`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rag.documents.folder import read_folder
from rag.errors import EvaluationError, shown
from rag.evaluation.jsonl import Row, read_rows
from rag.evaluation.metrics import Span
from rag.retrieval.query import MAX_QUESTION_CHARS
from rag.types import Document


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known to be right; what isn't known is empty or None.

    `history` is earlier (question, answer text) pairs, `rewrite` the question reworded by a person so that
    it stands alone. A right answer contains one of the strings `answers`. `sources` are the documents that
    hold the answer, `spans` its exact places. `answerable` is False where the documents don't say.
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

    `own`: a user's questions, asked of the index that the settings name. `folder` is where the documents of
    another set are files already, or None. `sentences`: each span is one whole sentence that answers,
    otherwise a part of the answer. `conversations`: each question is the last one of a conversation.
    """

    name: str
    documents: Mapping[str, str]
    questions: tuple[Question, ...]
    folder: Path | None = None
    own: bool = False
    sentences: bool = False
    conversations: bool = False


class AbsentSetError(EvaluationError):
    """A known set whose folder is missing."""


def read_questions(name: str, folder: Path) -> Dataset:
    """The questions of this file on the documents in `folder`; without the folder sources aren't checked.

    A row has a `question`, and may have `answers` and `sources`. A row with a `rating` is what
    `rag.interfaces.feedback` writes: of one answer the last rating counts, and of a question's answers the
    one rated last. `EvaluationError` names the file and the line that can't be read.
    """
    path = Path(name)
    if not os.path.exists(path):  # noqa: PTH110  False for a name that is too long, where Path raises
        raise EvaluationError(
            f"There is no file {shown(path)}. Name a .jsonl file of your questions; "
            "rag eval without a name shows what to write in it."
        )
    documents = read_texts(folder) if folder.is_dir() else {}
    questions: list[Question] = []
    ratings: dict[str, dict[str, Question]] = {}
    for row in read_rows(path):
        question = _question(row, documents)
        if "rating" not in row:
            questions.append(question)
            continue
        rating, answer = row.choice("rating", "up", "down", None), row.text("text")
        of_question = ratings.setdefault(question.text, {})
        of_question.pop(answer, None)
        # An answer from documents that are all gone is no longer known to be right.
        if rating is not None and (question.sources or not row.texts("sources", optional=True)):
            # A refusal that was rated right has no answers: the documents don't say.
            answerable = True if question.answers else False if rating == "up" else None
            of_question[answer] = replace(question, answerable=answerable)
    questions.extend([*by_answer.values()][-1] for by_answer in ratings.values() if by_answer)
    if not questions:
        raise EvaluationError(f"{shown(path)} has no question.")
    return Dataset(path.stem, documents, tuple(questions), own=True)


def _question(row: Row, documents: Mapping[str, str]) -> Question:
    """The question of a row; a rated one keeps the sources that are still there."""
    row.only("question", "answers", "sources", "rating", "text")
    text, answers = row.text("question"), row.texts("answers", optional=True)
    sources = row.texts("sources", optional=True)
    if not text.strip() or len(text) > MAX_QUESTION_CHARS:
        raise EvaluationError(
            f"{row.place}: question has {len(text.strip()):,} characters; write 1 to {MAX_QUESTION_CHARS:,}."
        )
    if documents and "rating" in row:
        sources = tuple(source for source in sources if source in documents)
    elif documents:
        sources = tuple(known_source(row, source, documents) for source in sources)
    answerable = True if answers or sources else None
    return Question(text, answers=answers, sources=frozenset(sources), answerable=answerable)


def off_topic(dataset: Dataset, other: Dataset) -> Dataset:
    """The other set with the questions of this one, which the other's documents don't answer."""
    questions = tuple(
        Question(question.text, history=question.history, answerable=False) for question in dataset.questions
    )
    return replace(other, questions=questions)


def read_texts(folder: Path) -> dict[str, str]:
    """The texts of a documents folder by source, without the files that can't be read."""
    return {item.source: item.text for item in read_folder(folder) if isinstance(item, Document)}


def known_source(row: Row, source: str, documents: Mapping[str, str]) -> str:
    """The source; `EvaluationError` naming the row's place if no document has it."""
    if source not in documents:
        raise EvaluationError(f"{row.place} names {source}, which is not among the documents.")
    return source
