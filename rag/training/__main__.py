"""The steps of the recipe, one command each: `python -m rag.training --help`."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from rag.errors import RagError
from rag.evaluation.datasets import read_dataset
from rag.evaluation.evaluate import evaluate, sample
from rag.evaluation.report import table
from rag.models.hub import download
from rag.models.openvino_runtime import Network, converted
from rag.models.reader import CrossEncoderReader, reader_module
from rag.models.registry import find_embedder
from rag.settings import DEFAULTS, resolve
from rag.training import examples
from rag.training.examples import judges


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step that is named."""
    parser = argparse.ArgumentParser(prog="python -m rag.training", description=__doc__)
    steps = parser.add_subparsers(required=True)

    making = steps.add_parser("examples", help="sets of questions → examples")
    making.add_argument("--out", type=Path, required=True, help="the file of examples to write")
    making.set_defaults(step=_examples)

    training = steps.add_parser("reader", help="examples → a reader's weights")
    training.add_argument("--examples", type=Path, required=True, help="the file of examples")
    training.add_argument("--questions", type=int, default=24_000, help="how many to learn from")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument(
        "--out", type=Path, required=True, help="the folder for weights, card and checkpoint"
    )
    training.set_defaults(step=_reader)

    comparing = steps.add_parser("compare", help="the product with and without the reader")
    comparing.add_argument("--reader", default="embedded", help="as in rag ask")
    comparing.add_argument("sets", nargs="+", metavar="SET", help="sets of questions")
    comparing.add_argument("--threshold", default=DEFAULTS["threshold"], help="as in rag eval")
    comparing.set_defaults(step=_compare)

    for step in (making, comparing):
        step.add_argument(
            "--bench", type=Path, default=Path("../shared/bench"), help="the folder of the sets"
        )
        step.add_argument("--limit", type=int, help="at most so many questions of each set")
    given = parser.parse_args(arguments)
    try:
        given.step(given)
    except FileNotFoundError as error:
        sys.exit(f"There is no file {error.filename}.")
    except RagError as error:
        sys.exit(str(error))


def _examples(given: argparse.Namespace) -> None:
    with tqdm(desc="Examples", unit="question", file=sys.stderr) as bar:
        examples.write(examples.make(given.bench, bar.update, limit=given.limit), given.out)


def _reader(given: argparse.Namespace) -> None:
    from rag.training import reader
    from rag.training.card import card
    from rag.training.figures import figures
    from rag.training.siblings import Siblings

    found = examples.read(given.examples)
    given.out.mkdir(parents=True, exist_ok=True)
    folder = find_embedder("embedded", download).path.parent
    model = reader.Model(folder, seed=given.seed)
    bar = tqdm(desc="Reader", unit="step", file=sys.stderr)

    def report(done: int, steps: int, loss: float) -> None:
        bar.total = steps
        bar.update(done - bar.n)
        bar.set_postfix(loss=f"{loss:.3f}")

    reader.train(
        model,
        [one for one in found if not one.held_out],
        Siblings(folder),
        questions=given.questions,
        seed=given.seed,
        checkpoint=given.out / "reader.checkpoint",
        report=report,
    )
    weights = given.out / "reader.safetensors"
    reader.write(model, folder, weights)
    network = Network(converted(partial(reader_module, folder, weights), eight_bits=False))
    measured = figures(
        CrossEncoderReader(network, folder, name=str(weights)), [one for one in found if one.held_out]
    )
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    text = card(found, measured, questions=given.questions, seed=given.seed, sha256=sha256)
    weights.with_suffix(".md").write_text(text, "utf-8")
    print(text)


def _compare(given: argparse.Namespace) -> None:
    """The figures of `rag eval`, for questions on documents that are held out from the training."""
    for name in given.sets:
        dataset = read_dataset(name, given.bench, Path(DEFAULTS["documents"]))
        held_out = [one for one in dataset.questions if judges(dataset, one)]
        questions = sample(held_out, given.limit, seed=0)
        reports = []
        for reader in ("none", given.reader):
            settings = resolve(reader=reader, threshold=given.threshold)
            with tqdm(desc=f"{name}, {Path(reader).stem}", total=len(questions), file=sys.stderr) as bar:
                report = evaluate(dataset, questions, settings, answers=True, advance=bar.update)
            reports.append(replace(report, name=f"{name}, {Path(reader).stem}"))
        print(table(reports))


if __name__ == "__main__":
    main()
