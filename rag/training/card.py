"""The card of a reader: what it began from, what it learnt from, how, and what it is worth."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rag.models.registry import EMBEDDED_EMBEDDER
from rag.training.examples import HELD_OUT, SETS, Example
from rag.training.reader import FROZEN_LAYERS, HEAD_RATE, QUESTIONS, RATE


def card(
    examples: Sequence[Example], figures: Mapping[str, float], *, questions: int, seed: int, sha256: str
) -> str:
    """The card as Markdown; `figures` are those of `rag.training.figures`."""
    taught = [one for one in examples if not one.held_out]
    counts = Counter((one.dataset, bool(one.right)) for one in taught)
    data = [
        f"| {name} | {licence} | {counts[name, True]:,} | {counts[name, False]:,} |"
        for name, licence in SETS.items()
        if counts[name, True] or counts[name, False]
    ]
    measured = [f"| {name} | {figure:.3f} |" for name, figure in figures.items()]
    return "\n".join(
        [
            "# A reader",
            "",
            "Reads a question with a sentence and what stands before it, and scores whether the sentence "
            "answers; marks the short answer in it. What is in the file is added to the weights of "
            f"{EMBEDDED_EMBEDDER.name} (Apache-2.0, sha256 {EMBEDDED_EMBEDDER.sha256}), which stay in "
            f"their package, {EMBEDDED_EMBEDDER.distribution}.",
            "",
            f"sha256 of the file: {sha256}",
            "",
            "## What it learnt from",
            "",
            "| set of questions | licence | with an answer among the sentences | without |",
            "| --- | --- | --- | --- |",
            *data,
            "",
            f"English, all of it from Wikipedia. One document in {HELD_OUT} is held out, by its title.",
            "",
            "## How",
            "",
            f"`python -m rag.training examples`, then `python -m rag.training reader --questions {questions} "
            f"--seed {seed}`: {questions // QUESTIONS:,} steps of {QUESTIONS} questions, at a rate of "
            f"{RATE:g} ({HEAD_RATE:g} for the heads) that falls to 0; the embeddings of words and the first "
            f"{FROZEN_LAYERS} of its layers stay as they are.",
            "",
            "## What it is worth",
            "",
            "On documents that are held out: how often a sentence that answers has the best score of "
            "those that retrieval brings (first), how well the best score separates questions that have an "
            "answer from those that haven't (area under the curve, auc), and the words of the short answer "
            "in a sentence that answers (f1).",
            "",
            "| figure | measured |",
            "| --- | --- |",
            *measured,
            "",
        ]
    )
