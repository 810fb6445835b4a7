"""The fit of the confidence, and the curve along which a threshold moves.

    python -m tests.benchmarks.abstention [--bench DIR] [--limit N] [--curve FILE] [--reader R] [--held-out]

Positive are the questions of squad2, xquad and wikipedia490 that their documents answer; negative those of
squad2 on the topic of a paragraph that doesn't answer them, and questions asked of another set's documents.
The weights that are printed first are fitted on all of them, as they stand in `rag.answering.confidence`. The
figures are of squad2, each of its articles judged by weights fitted without it, and of each set with the
shipped weights and threshold. With the reader, only documents serve that it hasn't learnt from. An answer is
right when the quotes that the scores choose hold the gold. No language model takes part. The curve, answered
right against refused right, is drawn to FILE.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from rag import wiring
from rag.answering.confidence import confidence, features
from rag.answering.engine import PASSAGES
from rag.answering.evidence import ranked
from rag.answering.sentence_reranking import read
from rag.answering.synthesis import CLOSE, EVIDENCE_SENTENCES, MAX_QUOTES
from rag.evaluation.datasets import Question, off_topic, read_dataset
from rag.evaluation.evaluate import indexed, sample
from rag.evaluation.metrics import normalised
from rag.models.reader import Reader
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from rag.settings import DEFAULTS, resolve
from rag.text.sentences import MAX_CHARS
from rag.training.examples import judges
from rag.types import Sentence

ON_TOPIC = ("squad2", "xquad", "wikipedia490")
OFF_TOPIC = (
    *(("squad2", other) for other in ("seeds", "chroma", "news2025")),
    *((other, "squad2") for other in ("chroma", "wikipedia490", "news2025")),
)
"""Sets of questions, and the set of whose documents they are asked."""

THRESHOLD = float(DEFAULTS["threshold"])


@dataclass(frozen=True)
class Case:
    """A question asked: its features, its shipped confidence, whether it has an answer and got it."""

    group: str
    features: tuple[float, ...]
    confidence: float
    answerable: bool
    right: bool


def cases(questions: Sequence[Question], retriever: Retriever, reader: Reader | None) -> Iterator[Case]:
    """Each question with what the best sentence is worth; one without a sentence is passed over."""
    for question in tqdm(questions, leave=False):
        found = ranked(retriever.retrieve(analyse(question.text), PASSAGES).sentences)
        if reader is not None:
            found = read(reader, question.text, found)
        if found:
            yield Case(
                group=min(question.sources, default="").partition("#")[0],
                features=features(question.text, found),
                confidence=confidence(question.text, found),
                answerable=question.answerable is True,
                right=question.answerable is True and is_right(question, quoted(found)),
            )


def quoted(found: Sequence[Sentence]) -> list[Sentence]:
    """The sentences that the retrieval scores alone would quote."""
    chosen: list[Sentence] = []
    for sentence in found[:EVIDENCE_SENTENCES]:
        chars = sum(len(other.text) for other in chosen) + len(sentence.text)
        close = sentence.score >= found[0].score - CLOSE
        if close and len(chosen) < MAX_QUOTES and (not chosen or chars <= MAX_CHARS):
            chosen.append(sentence)
    return chosen


def is_right(question: Question, quotes: Sequence[Sentence]) -> bool:
    """Whether a quote holds a gold string; where none is known, as for whole sentences, nothing is."""
    golds = [gold for gold in map(normalised, question.answers) if gold]
    return any(gold in normalised(quote.text) for gold in golds for quote in quotes)


def fitted(found: Sequence[Case]) -> tuple[np.ndarray, float]:
    """The weights and the intercept of the logistic regression on these, by unscaled features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    model.fit([case.features for case in found], [case.answerable for case in found])
    scaler, regression = model[0], model[1]
    weights = regression.coef_[0] / scaler.scale_
    return weights, float(regression.intercept_[0] - weights @ scaler.mean_)


def balanced(found: Sequence[Case], sure: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Of the answerable: the share answered, and answered right; of the others: the share refused."""
    answered = sure >= threshold
    answerable = np.array([case.answerable for case in found])
    right = np.array([case.right for case in found])
    return (
        float(answered[answerable].mean()),
        float((answered & right)[answerable].mean()),
        float((~answered)[~answerable].mean()),
    )


def logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of each."""
    return 1 / (1 + np.exp(-values))


def held_out(squad: Sequence[Case], others: Sequence[Case]) -> np.ndarray:
    """The confidence in each case by weights that are fitted without its article."""
    sure = np.empty(len(squad))
    for group in {case.group for case in squad}:
        weights, intercept = fitted([*(case for case in squad if case.group != group), *others])
        for place, case in enumerate(squad):
            if case.group == group:
                sure[place] = logistic(weights @ case.features + intercept)
    return sure


def draw(squad: Sequence[Case], sure: np.ndarray, path: Path) -> None:
    """The curve of all thresholds, with the shipped one on it."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    thresholds = np.linspace(0, 1, 201)
    _, right, refused = zip(*(balanced(squad, sure, threshold) for threshold in thresholds), strict=True)
    figure, axes = pyplot.subplots(figsize=(6, 4.5))
    axes.plot(refused, right)
    for threshold in (0.3, 0.4, THRESHOLD, 0.6, 0.7):
        _, y, x = balanced(squad, sure, threshold)
        axes.plot(x, y, "o", color="C0" if threshold != THRESHOLD else "C3")
        axes.annotate(f"{threshold:g}", (x, y), textcoords="offset points", xytext=(6, 4))
    axes.set(
        title="SQuAD 2, articles that the fit hasn't seen",
        xlabel="questions on topic without an answer: refused",
        ylabel="questions with an answer: answered right",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the weights and the figures; draw the curve."""
    parser = argparse.ArgumentParser(description="Fit the confidence.")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"))
    parser.add_argument("--limit", type=int, default=500, help="questions of each set but squad2")
    parser.add_argument("--curve", type=Path, default=Path(__file__).with_suffix(".svg"))
    parser.add_argument("--reader", default=DEFAULTS["reader"], help="as in rag ask")
    parser.add_argument(
        "--held-out", action="store_true", help="only documents that the reader hasn't learnt from"
    )
    arguments = parser.parse_args()
    reader = wiring.reader(arguments.reader)
    documents = resolve().documents
    found: dict[str, list[Case]] = {}
    for name, other in [*((name, name) for name in ON_TOPIC), *OFF_TOPIC]:
        dataset = read_dataset(name, arguments.bench, documents)
        if reader is not None or arguments.held_out:
            kept = tuple(one for one in dataset.questions if judges(dataset, one))
            dataset = replace(dataset, questions=kept)
        if other != name:
            dataset = off_topic(dataset, read_dataset(other, arguments.bench, documents))
        limit = None if name == other == "squad2" else arguments.limit if name == other else 200
        index = indexed(read_dataset(other, arguments.bench, documents), resolve())
        retriever = wiring.retriever(resolve(index=index))
        found[name if other == name else f"{name} of {other}"] = list(
            cases(sample(dataset.questions, limit, 0), retriever, reader)
        )
    squad, others = found["squad2"], [case for name in found if name != "squad2" for case in found[name]]
    weights, intercept = fitted([*squad, *others])
    print("weights", np.round(weights, 3), "intercept", round(intercept, 3))
    sure = held_out(squad, others)
    answered, right, refused = balanced(squad, sure, THRESHOLD)
    print(f"squad2, article held out: AUC {roc_auc_score([case.answerable for case in squad], sure):.3f}")
    print(f"  answered {answered:.3f}, right {right:.3f}, refused {refused:.3f}", end="")
    print(f", balanced {(right + refused) / 2:.3f}")
    for name, some in found.items():
        for kind in (True, False):
            shipped = [case.confidence >= THRESHOLD for case in some if case.answerable is kind]
            if shipped:
                print(f"{name}, {'answerable' if kind else 'not'}: answered {np.mean(shipped):.3f}")
    draw(squad, sure, arguments.curve)


if __name__ == "__main__":
    main()
