"""What `rag eval` does: reads the sets that are named, then measures one after the other."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from rag.evaluation.datasets import READERS, AbsentSetError, Dataset, off_topic, read_dataset
from rag.evaluation.evaluate import Report, evaluate, sample
from rag.settings import Settings


@dataclass(frozen=True, slots=True)
class Skipped:
    """A set that isn't there, and what is missing."""

    name: str
    reason: str


def evaluate_sets(
    names: Sequence[str],
    bench: Path,
    settings: Settings,
    *,
    limit: int | None,
    each: int | None,
    seed: int,
    asked_of: str | None,
    answers: bool,
) -> Iterator[Report | Skipped]:
    """The sets that are skipped, then the report of each other as soon as it is measured; all for no names.

    `asked_of` names a set of whose documents the questions are asked instead, and should be refused. `limit`
    and `each`: see `sample`. Every set is read before any is measured, so that a mistake shows at once. A bar
    on stderr shows the questions asked, where stderr is a terminal.
    """
    datasets: list[Dataset] = []
    for name in names or READERS:
        try:
            datasets.append(read_dataset(name, bench, settings.documents))
        except AbsentSetError as error:
            yield Skipped(name, str(error))
    if asked_of is not None:
        datasets = [dataset for dataset in datasets if dataset.name != asked_of]
    other = None if asked_of is None else read_dataset(asked_of, bench, settings.documents)
    for dataset in datasets:
        name = dataset.name if other is None else f"{dataset.name} of {other.name}"
        measured = dataset if other is None else off_topic(dataset, other)
        questions = sample(measured.questions, limit, seed, each=each)
        with tqdm(total=len(questions), desc=name, file=sys.stderr, disable=None, leave=False) as bar:
            report = evaluate(measured, questions, settings, answers=answers, advance=bar.update)
        yield replace(report, name=name)
