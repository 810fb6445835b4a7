"""Fit the confidence, and draw the curve along which a threshold moves.

The weights that are printed are fitted on the questions of squad2, xquad and wikipedia490 that their
documents answer (positive), and on questions without an answer (negative): those of squad2, which are on the
topic of a paragraph that doesn't answer them, and questions asked of another set's documents. They are meant
for rag.answering.confidence. The figures are those of squad2, each article by weights fitted without it,
and those of each set with the shipped weights and the threshold in force. With a reader only documents are
used that it hasn't learnt from. An answer is right if a sentence that the scores would quote contains a right
string; no language model takes part.
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
from rag.evaluation.datasets import Question, off_topic
from rag.evaluation.evaluate import indexed, sample
from rag.evaluation.metrics import normalised
from rag.models.reader import Reader
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from rag.settings import resolve
from rag.text.sentences import MAX_CHARS
from rag.training.datasets import read_dataset
from rag.training.examples import is_held_out
from rag.types import Sentence

ON_TOPIC = ("squad2", "xquad", "wikipedia490")
OFF_TOPIC = (
    *(("squad2", other) for other in ("seeds", "chroma", "news2025")),
    *((other, "squad2") for other in ("chroma", "wikipedia490", "news2025")),
)
"""Sets of questions, and the set whose documents they are asked of."""

OFF_TOPIC_QUESTIONS = 200


@dataclass(frozen=True)
class Case:
    """A question: its features, its shipped confidence, and whether it has an answer and would get it.

    `group` names its article.
    """

    group: str
    features: tuple[float, ...]
    confidence: float
    answerable: bool
    right: bool


def cases(questions: Sequence[Question], retriever: Retriever, reader: Reader | None) -> Iterator[Case]:
    """A case for each question for which retrieval finds a sentence."""
    for question in tqdm(questions, leave=False):
        sentences = ranked(retriever.retrieve(analyse(question.text), PASSAGES).sentences)
        if reader is not None:
            sentences = read(reader, question.text, sentences)
        if sentences:
            answerable = question.answerable is True
            yield Case(
                group=min(question.sources, default="").partition("#")[0],
                features=features(question.text, sentences),
                confidence=confidence(question.text, sentences),
                answerable=answerable,
                right=answerable and is_right(question, quoted(sentences)),
            )


def quoted(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The sentences that the scores alone would quote."""
    quotes: list[Sentence] = []
    for sentence in sentences[:EVIDENCE_SENTENCES]:
        chars = sum(len(quote.text) for quote in quotes) + len(sentence.text)
        close = sentence.score >= sentences[0].score - CLOSE
        if close and len(quotes) < MAX_QUOTES and (not quotes or chars <= MAX_CHARS):
            quotes.append(sentence)
    return quotes


def is_right(question: Question, quotes: Sequence[Sentence]) -> bool:
    """Whether a quote contains a right string; False where none is known, as for whole sentences."""
    golds = [gold for gold in map(normalised, question.answers) if gold]
    return any(gold in normalised(quote.text) for gold in golds for quote in quotes)


def fitted(of_cases: Sequence[Case]) -> tuple[np.ndarray, float]:
    """The weights and the intercept of the logistic regression on these cases, for unscaled features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    model.fit([case.features for case in of_cases], [case.answerable for case in of_cases])
    scaler, regression = model[0], model[1]
    weights = regression.coef_[0] / scaler.scale_
    return weights, float(regression.intercept_[0] - weights @ scaler.mean_)


def shares(of_cases: Sequence[Case], confidences: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Of the answerable questions the shares answered and answered right; of the others, that refused."""
    answered = confidences >= threshold
    answerable = np.array([case.answerable for case in of_cases])
    right = np.array([case.right for case in of_cases])
    return (
        float(answered[answerable].mean()),
        float((answered & right)[answerable].mean()),
        float((~answered)[~answerable].mean()),
    )


def logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of each."""
    return 1 / (1 + np.exp(-values))


def cross_fitted(squad: Sequence[Case], others: Sequence[Case]) -> np.ndarray:
    """The confidence in each case of squad2, by weights that are fitted without its article."""
    confidences = np.empty(len(squad))
    for group in {case.group for case in squad}:
        weights, intercept = fitted([*(case for case in squad if case.group != group), *others])
        for position, case in enumerate(squad):
            if case.group == group:
                confidences[position] = logistic(weights @ case.features + intercept)
    return confidences


def draw(squad: Sequence[Case], confidences: np.ndarray, in_force: float, path: Path) -> None:
    """Draw the curve of all thresholds; some are marked, the one in force in another colour."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    thresholds = np.linspace(0, 1, 201)
    _, right, refused = zip(*(shares(squad, confidences, threshold) for threshold in thresholds), strict=True)
    figure, axes = pyplot.subplots(figsize=(6, 4.5))
    axes.plot(refused, right)
    for threshold in sorted({0.3, 0.4, 0.5, 0.6, 0.7, in_force}):
        _, y, x = shares(squad, confidences, threshold)
        axes.plot(x, y, "o", color="C3" if threshold == in_force else "C0")
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


def asked(
    bench: Path, name: str, other: str, limit: int, reader: Reader | None, held_out: bool
) -> list[Case]:
    """The cases of the questions of one set, asked of the documents of another or the same set."""
    documents = resolve().documents
    dataset, asked_of = (read_dataset(each, bench, documents) for each in (name, other))
    if held_out:
        questions = tuple(question for question in dataset.questions if is_held_out(dataset, question))
        dataset = replace(dataset, questions=questions)
    if name != other:
        dataset = off_topic(dataset, asked_of)
        limit = OFF_TOPIC_QUESTIONS
    retriever = wiring.retriever(resolve(index=indexed(asked_of, resolve())))
    drawn = sample(dataset.questions, None if name == other == "squad2" else limit, 0)
    return list(cases(drawn, retriever, reader))


def main() -> None:
    """Print the weights and the figures; draw the curve."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.abstention",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bench", type=Path, required=True, help="the folder of the evaluation sets")
    parser.add_argument("--limit", type=int, default=500, help="questions of each set but squad2")
    parser.add_argument("--curve", type=Path, default=Path(__file__).with_suffix(".svg"), help="the drawing")
    parser.add_argument("--reader", default="embedded", help="as in rag ask (default %(default)s)")
    parser.add_argument(
        "--held-out", action="store_true", help="use only held-out documents without a reader too"
    )
    given = parser.parse_args()
    reader, threshold = wiring.reader(given.reader), resolve().threshold
    held_out = reader is not None or given.held_out
    by_name = {
        name if name == other else f"{name} of {other}": asked(
            given.bench, name, other, given.limit, reader, held_out
        )
        for name, other in [*((name, name) for name in ON_TOPIC), *OFF_TOPIC]
    }
    squad = by_name["squad2"]
    others = [case for name, of_set in by_name.items() if name != "squad2" for case in of_set]
    weights, intercept = fitted([*squad, *others])
    print("weights", np.round(weights, 3), "intercept", round(intercept, 3))
    confidences = cross_fitted(squad, others)
    answered, right, refused = shares(squad, confidences, threshold)
    auc = roc_auc_score([case.answerable for case in squad], confidences)
    print(f"squad2, article held out: AUC {auc:.3f}")
    print(f"  answered {answered:.3f}, right {right:.3f}, refused {refused:.3f}", end="")
    print(f", balanced {(right + refused) / 2:.3f}")
    for name, of_set in by_name.items():
        for answerable, label in ((True, "answerable"), (False, "unanswerable")):
            shipped = [case.confidence >= threshold for case in of_set if case.answerable is answerable]
            if shipped:
                print(f"{name}, {label}: answered {np.mean(shipped):.3f}")
    draw(squad, confidences, threshold, given.curve)


if __name__ == "__main__":
    main()
