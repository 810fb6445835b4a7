"""What `rag eval` does: read the sets that are named, then measure one after the other."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from rag.evaluation.datasets import AbsentSetError, Dataset, off_topic
from rag.evaluation.evaluate import Report, evaluate, sample
from rag.settings import Settings

USAGE = """\
rag eval measures search and answers with questions whose answers you know. Write them into a file such as
questions.jsonl, one JSON object a line:

  {"question": "Who is the Kremlin spokesman?", "answers": ["Peskov"], "sources": ["report.txt"]}

"answers" are texts of which a quote should contain one, "sources" the files that hold the answer; leave out
what you don't know. Then build the index and measure:

  rag build
  rag eval questions.jsonl"""
"""What `rag eval` says when it is given no questions."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A set that isn't there, and what is missing."""

    name: str
    reason: str


def evaluate_sets(
    names: Sequence[str],
    read: Callable[[str], Dataset],
    settings: Settings,
    *,
    limit: int | None,
    each: int | None,
    seed: int,
    asked_of: str | None,
    answers: bool,
) -> Iterator[Report | Skipped]:
    """First each set that is skipped, then a report of each other set as soon as it is measured.

    `read` returns the set of a name. With `asked_of`, the name of another set, the questions are asked of
    that set's documents, which should refuse them. For `limit`, `each` and `seed` see `sample`. All sets are
    read before any is measured, so that a mistake shows at once. A bar on stderr, where it is a terminal,
    counts the questions.
    """
    datasets: list[Dataset] = []
    for name in (name for name in names if name != asked_of):
        try:
            datasets.append(read(name))
        except AbsentSetError as error:
            yield Skipped(name, str(error))
    other = None if asked_of is None else read(asked_of)
    for dataset in datasets:
        name = dataset.name if other is None else f"{dataset.name} of {other.name}"
        measured = dataset if other is None else off_topic(dataset, other)
        questions = sample(measured.questions, limit, seed, each=each)
        with tqdm(total=len(questions), desc=name, file=sys.stderr, disable=None, leave=False) as bar:
            report = evaluate(measured, questions, settings, answers=answers, advance=bar.update)
        yield replace(report, name=name)
