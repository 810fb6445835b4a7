"""Examples → a reader: the embedded embedder's weights, trained to tell which sentence answers.

The training is listwise: a softmax over the scores of a question's sentences and a 0, which stands for none
of them. A second head marks where the short answer begins and ends in the sentence that answers. The word
embeddings are frozen, and only what changed in the layers is written (see `rag.models.weight_deltas`).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from rag.answering.sentence_reranking import read_as
from rag.errors import ModelError
from rag.models.cross_encoder import load_cross_encoder
from rag.models.reader import MAX_TOKENS, encode, forward, sentence_tokens
from rag.models.weight_deltas import write_deltas
from rag.training.batches import CandidateList, epoch
from rag.training.examples import Example
from rag.training.siblings import Siblings

QUESTIONS_PER_STEP = 8

FROZEN_LAYERS = 2
"""How many layers, the first ones, are frozen with the word embeddings: it saves a third of the time."""

PARTS = 3
"""In how many parts, of sentences of similar length, the sentences of a step are read."""

RATE = 1e-4
HEAD_RATE = 1e-3
WARM_UP = 0.05
"""The learning rates of the layers and of the heads, and the share of the steps in which they rise."""

SPAN_WEIGHT = 0.5
CHECKPOINT_STEPS = 100


class Model(torch.nn.Module):
    """The cross-encoder, and the head for the short answer."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        """Load the weights of the folder, with untrained heads drawn by the seed."""
        super().__init__()
        torch.manual_seed(seed)
        encoder = load_cross_encoder(folder, max_tokens=MAX_TOKENS)
        self.tokenizer = encoder.tokenizer
        self.scorer = encoder.model
        self.span = torch.nn.Linear(self.scorer.config.hidden_size, 2)
        frozen = (".embeddings.", *(f".layer.{number}." for number in range(FROZEN_LAYERS)))
        for name, weights in self.scorer.named_parameters():
            weights.requires_grad = not any(part in name for part in frozen)

    def forward(self, encoded: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The scores, of shape (n,), and the logits of start and end, of shape (n, tokens, 2)."""
        scores, marks = forward(self.scorer, self.span, encoded)
        return scores, marks


def loss(model: Model, lists: Sequence[CandidateList]) -> torch.Tensor:
    """The loss of choosing the sentence that answers, or none, and of marking the short answer."""
    pairs = [(one.question, read_as(text.text, text.before)) for one in lists for text in one.candidates]
    # Part by part, from short to long: less padding.
    order = sorted(range(len(pairs)), key=lambda position: len(pairs[position][0]) + len(pairs[position][1]))
    size = math.ceil(len(order) / PARTS)
    scores = torch.empty(len(pairs))
    marks: dict[int, tuple[torch.Tensor, Any, int]] = {}
    for part in (order[begin : begin + size] for begin in range(0, len(order), size)):
        encoded = encode(model.tokenizer, [pairs[position] for position in part])
        part_scores, part_marks = model(encoded)
        scores = scores.index_copy(0, torch.tensor(part), part_scores)
        marks |= {position: (part_marks[row], encoded, row) for row, position in enumerate(part)}
    choosing = torch.zeros(())
    marking: list[torch.Tensor] = []
    first = 0
    for one in lists:
        with_none = torch.cat([torch.zeros(1), scores[first : first + len(one.candidates)]])
        target = 0 if one.right is None else 1 + one.right
        choosing = choosing + cross_entropy(with_none[None], torch.tensor([target]))
        if one.right is not None and one.answer is not None:
            length = len(one.candidates[one.right].text)
            marking.extend(span_loss(*marks[first + one.right], one.answer, length))
        first += len(one.candidates)
    return choosing / len(lists) + (SPAN_WEIGHT * sum(marking) / len(marking) if marking else 0.0)


def span_loss(
    marks: torch.Tensor, encoded: Any, row: int, answer: tuple[int, int], length: int
) -> Iterator[torch.Tensor]:
    """The cross-entropy of the answer's first and last token among the tokens of the sentence."""
    inside = sentence_tokens(encoded[row], length)
    start, end = answer
    answering = [token for token, (first, last) in inside.items() if first < end and start < last]
    if answering:
        tokens = list(inside)
        for side, token in enumerate((answering[0], answering[-1])):
            yield cross_entropy(marks[tokens, side][None], torch.tensor([tokens.index(token)]))


def train(
    model: Model,
    examples: Sequence[Example],
    siblings: Siblings,
    *,
    questions: int,
    seed: int,
    checkpoint: Path,
    report: Callable[[int, int, float], None],
) -> None:
    """Train the model on this number of questions, from the checkpoint on if there is one.

    `report` is called after each step with the steps done, all steps, and the loss. `ModelError` if there
    are no examples, or if the checkpoint is of another run.
    """
    if not examples:
        raise ModelError("There is no example to learn from: name a file that has some.")
    heads = [*model.span.parameters(), *model.scorer.classifier.parameters()]
    layers = [weights for weights in model.scorer.base_model.parameters() if weights.requires_grad]
    groups = [{"params": layers, "lr": RATE}, {"params": heads, "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = questions // QUESTIONS_PER_STEP
    warm_up = max(int(WARM_UP * steps), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / max(steps - warm_up, 1))
    )
    state = {"model": model, "optimizer": optimizer, "schedule": schedule}
    data = blake2b("\n".join(example.question for example in examples).encode()).hexdigest()
    run = {"questions": questions, "seed": seed, "data": data}
    done = _restore(state, run, checkpoint)
    epochs = (epoch(examples, siblings, seed + number) for number in itertools.count())
    lists = itertools.chain.from_iterable(epochs)
    model.eval()  # without dropout, which takes a third of the time on a CPU and makes no difference
    for step in range(1, steps + 1):
        batch = list(itertools.islice(lists, QUESTIONS_PER_STEP))
        if step <= done:
            continue  # the draws go on where they were
        optimizer.zero_grad()
        batch_loss = loss(model, batch)
        torch.autograd.backward(batch_loss)
        torch.nn.utils.clip_grad_norm_(layers + heads, 1.0)
        optimizer.step()
        schedule.step()
        report(step, steps, batch_loss.item())
        if step % CHECKPOINT_STEPS == 0 or step == steps:
            _save(state, run, step, checkpoint)


def _restore(state: Mapping[str, Any], run: Mapping[str, Any], checkpoint: Path) -> int:
    """Load the checkpoint, if there is one, into the parts of the state: the steps that are done."""
    if not checkpoint.is_file():
        return 0
    saved = torch.load(checkpoint, weights_only=True)
    if saved["run"] != run:
        raise ModelError(
            f"{checkpoint} is of a run with other examples, another seed or another number of questions. "
            "Remove it, or name another folder."
        )
    for name, part in state.items():
        part.load_state_dict(saved[name])
    return int(saved["done"])


def _save(state: Mapping[str, Any], run: Mapping[str, Any], done: int, checkpoint: Path) -> None:
    unfinished = checkpoint.with_suffix(".part")
    saved = {name: part.state_dict() for name, part in state.items()}
    torch.save(saved | {"done": done, "run": run}, unfinished)
    unfinished.replace(checkpoint)


def write(model: Model, folder: Path, path: Path) -> None:
    """Write what training changed in the weights of the folder, and the whole heads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_deltas(path, _trained(Model(folder), heads=False), _trained(model, heads=True))


def _trained(model: Model, *, heads: bool) -> dict[str, npt.NDArray[np.float32]]:
    """The weights that training changes, by their names in the cross-encoder; those of heads if asked for."""
    base = f"{model.scorer.base_model_prefix}."
    named = {name: values for name, values in model.scorer.named_parameters() if values.requires_grad}
    if heads:
        named |= {f"span.{name}": values for name, values in model.span.named_parameters()}
    return {name: values.detach().numpy() for name, values in named.items() if heads or name.startswith(base)}
