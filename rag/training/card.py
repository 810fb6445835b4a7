"""A reader's card: what it was trained from, its training data, the training, and its figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from rag.models.registry import EMBEDDED_EMBEDDER
from rag.training.examples import HELD_OUT, SETS, Example
from rag.training.reader import FROZEN_LAYERS, HEAD_RATE, QUESTIONS_PER_STEP, RATE


def card(
    examples: Sequence[Example], figures: Mapping[str, float], *, questions: int, seed: int, sha256: str
) -> str:
    """The card as Markdown; `figures` are those of `rag.training.figures`."""
    counts = Counter((example.dataset, bool(example.right)) for example in examples if not example.held_out)
    data = [
        f"| {name} | {licence} | {counts[name, True]:,} | {counts[name, False]:,} |"
        for name, licence in SETS.items()
        if counts[name, True] or counts[name, False]
    ]
    return Template(Path(__file__).with_suffix(".md").read_text("utf-8")).substitute(
        base=EMBEDDED_EMBEDDER.name,
        base_sha256=EMBEDDED_EMBEDDER.sha256,
        package=EMBEDDED_EMBEDDER.distribution,
        sha256=sha256,
        data="\n".join(data),
        held_out=HELD_OUT,
        questions=questions,
        seed=seed,
        steps=f"{questions // QUESTIONS_PER_STEP:,}",
        per_step=QUESTIONS_PER_STEP,
        rate=f"{RATE:g}",
        head_rate=f"{HEAD_RATE:g}",
        frozen_layers=FROZEN_LAYERS,
        figures="\n".join(f"| {name} | {figure:.3f} |" for name, figure in figures.items()),
    )
