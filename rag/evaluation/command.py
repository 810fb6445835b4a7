"""What `rag eval` does: reads the sets that are named, then measures one after the other."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rag.evaluation.datasets import READERS, AbsentSetError, Dataset, read_dataset
from rag.evaluation.run import Report, evaluate, sample
from rag.settings import Settings


@dataclass(frozen=True, slots=True)
class Skipped:
    """A set that isn't there, and what is missing."""

    name: str
    reason: str


def evaluate_sets(
    names: Sequence[str], bench: Path, settings: Settings, *, limit: int | None, seed: int, answers: bool
) -> Iterator[Report | Skipped]:
    """The sets that are skipped, then the report of each other as soon as it is measured; all for no names.

    Every set is read before any is measured, so that a mistake shows at once. A bar on stderr shows the
    questions asked, where stderr is a terminal.
    """
    datasets: list[Dataset] = []
    for name in names or READERS:
        try:
            datasets.append(read_dataset(name, bench, settings.documents))
        except AbsentSetError as error:
            yield Skipped(name, str(error))
    for dataset in datasets:
        questions = sample(dataset.questions, limit, seed)
        with tqdm(total=len(questions), desc=dataset.name, file=sys.stderr, disable=None, leave=False) as bar:
            yield evaluate(dataset, questions, settings, answers=answers, advance=bar.update)
