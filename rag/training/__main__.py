"""Train a reader and compare it: one command for each step of the recipe."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from rag.errors import RagError
from rag.evaluation.evaluate import evaluate, sample
from rag.evaluation.report import table
from rag.models.hub import download
from rag.models.openvino_runtime import Network, converted
from rag.models.reader import CrossEncoderReader, reader_module
from rag.models.registry import find_embedder
from rag.settings import resolve
from rag.training import examples
from rag.training.datasets import read_dataset
from rag.training.examples import is_held_out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step that the arguments name; a `RagError` ends the process with its message."""
    parser = argparse.ArgumentParser(prog="python -m rag.training", description=__doc__)
    steps = parser.add_subparsers(required=True)

    making = steps.add_parser("examples", help="sets of questions → examples")
    making.add_argument("--out", type=Path, required=True, help="the file of examples to write")
    making.set_defaults(step=_examples)

    training = steps.add_parser("reader", help="examples → a reader's weights, with their card")
    training.add_argument("--examples", type=Path, required=True, help="the file of examples")
    training.add_argument(
        "--questions", type=int, default=24_000, help="how many questions to train on (default %(default)s)"
    )
    training.add_argument("--seed", type=int, default=0, help="the seed of all draws (default %(default)s)")
    training.add_argument(
        "--out", type=Path, required=True, help="the folder for the weights, the card and the checkpoint"
    )
    training.set_defaults(step=_reader)

    comparing = steps.add_parser(
        "compare", help="figures without a reader and with it, on held-out documents"
    )
    comparing.add_argument("--reader", default="embedded", help="as in rag ask (default %(default)s)")
    comparing.add_argument("sets", nargs="+", metavar="SET", help="a set of questions")
    comparing.add_argument("--threshold", help="as in rag eval")
    comparing.set_defaults(step=_compare)

    for step in (making, comparing):
        step.add_argument("--bench", type=Path, required=True, help="the folder of the sets")
        step.add_argument("--limit", type=int, help="how many questions of each set to use at most")
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

    all_examples = examples.read(given.examples)
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
        [example for example in all_examples if not example.held_out],
        Siblings(folder),
        questions=given.questions,
        seed=given.seed,
        checkpoint=given.out / "reader.checkpoint",
        report=report,
    )
    weights = given.out / "reader.safetensors"
    reader.write(model, folder, weights)
    network = Network(converted(partial(reader_module, folder, weights), eight_bits=False))
    trained = CrossEncoderReader(network, folder, name=str(weights))
    measured = figures(trained, [example for example in all_examples if example.held_out])
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    text = card(all_examples, measured, questions=given.questions, seed=given.seed, sha256=sha256)
    weights.with_suffix(".md").write_text(text, "utf-8")
    print(text)


def _compare(given: argparse.Namespace) -> None:
    """Print the figures of `rag eval` for questions on documents that the training held out."""
    for name in given.sets:
        dataset = read_dataset(name, given.bench, resolve().documents)
        held_out = [question for question in dataset.questions if is_held_out(dataset, question)]
        questions = sample(held_out, given.limit, seed=0)
        reports = []
        for reader in ("none", given.reader):
            settings = resolve(reader=reader, threshold=given.threshold)
            column = f"{name}, {Path(reader).stem}"
            with tqdm(desc=column, total=len(questions), file=sys.stderr) as bar:
                report = evaluate(dataset, questions, settings, answers=True, advance=bar.update)
            reports.append(replace(report, name=column))
        print(table(reports))


if __name__ == "__main__":
    main()
