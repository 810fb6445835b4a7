"""Examples → a reader: the embedded embedder's weights, taught to tell which sentence answers.

Listwise: the softmax over the scores of a question's sentences and a 0 that stands for none of them. A second
head marks where the short answer begins and ends in the sentence that answers. The embeddings of words stay
as they are, and only what the layers changed is written (see `rag.models.weight_deltas`).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
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
from rag.training.batches import List, epoch
from rag.training.examples import Example
from rag.training.siblings import Siblings

QUESTIONS = 8
"""In a step."""

FROZEN_LAYERS = 2
"""How many layers stay as they are, the first ones, with the embeddings: it saves a third of the time."""

PARTS = 3
RATE = 1e-4
HEAD_RATE = 1e-3
WARM_UP = 0.05
SPAN_WEIGHT = 0.5
CHECKPOINT_STEPS = 100


class Model(torch.nn.Module):
    """The cross-encoder, and the head for the short answer."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        """The weights of the folder, with heads that know nothing yet."""
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


def loss(model: Model, lists: Sequence[List]) -> torch.Tensor:
    """How far the model is from choosing what answers, or nothing, and from marking the short answer."""
    pairs = [(one.question, read_as(found.text, found.before)) for one in lists for found in one.candidates]
    # Some of them at a time, from the short to the long, for less padding.
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
    size = math.ceil(len(order) / PARTS)
    scores = torch.empty(len(pairs))
    spans: dict[int, tuple[torch.Tensor, Any, int]] = {}
    for part in (order[begin : begin + size] for begin in range(0, len(order), size)):
        encoded = encode(model.tokenizer, [pairs[place] for place in part])
        found, marks = model(encoded)
        scores = scores.index_copy(0, torch.tensor(part), found)
        spans |= {place: (marks[row], encoded, row) for row, place in enumerate(part)}
    total = torch.zeros(())
    marked: list[torch.Tensor] = []
    first = 0
    for one in lists:
        of_list = torch.cat([torch.zeros(1), scores[first : first + len(one.candidates)]])
        target = 0 if one.right is None else 1 + one.right
        total = total + cross_entropy(of_list[None], torch.tensor([target]))
        if one.right is not None and one.answer is not None:
            length = len(one.candidates[one.right].text)
            marked.extend(span_loss(*spans[first + one.right], one.answer, length))
        first += len(one.candidates)
    return total / len(lists) + (SPAN_WEIGHT * sum(marked) / len(marked) if marked else 0.0)


def span_loss(
    marks: torch.Tensor, encoded: Any, row: int, answer: tuple[int, int], length: int
) -> Iterator[torch.Tensor]:
    """The cross entropy of the first and the last token of the answer among those of the sentence."""
    inside = sentence_tokens(encoded[row], length)
    start, end = answer
    tokens = [token for token, (first, last) in inside.items() if first < end and start < last]
    if tokens:
        places = list(inside)
        for side, token in enumerate((tokens[0], tokens[-1])):
            yield cross_entropy(marks[places, side][None], torch.tensor([places.index(token)]))


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
    """Teach the model with so many questions, from the checkpoint on if there is one.

    `report` is told of each step: how many are done, of how many, and its loss. `ModelError` when there are
    no examples, and when the checkpoint is of another run.
    """
    if not examples:
        raise ModelError("There is no example to learn from: name a file that has some.")
    heads = [*model.span.parameters(), *model.scorer.classifier.parameters()]
    body = [weights for weights in model.scorer.base_model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": RATE}, {"params": heads, "lr": HEAD_RATE}], weight_decay=0.01
    )
    steps = questions // QUESTIONS
    warm_up = max(int(WARM_UP * steps), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / max(steps - warm_up, 1))
    )
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    done = 0
    data = blake2b("\n".join(one.question for one in examples).encode()).hexdigest()
    run = {"questions": questions, "seed": seed, "data": data}
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        done = saved.pop("done")
        if saved.pop("run") != run:
            raise ModelError(
                f"{checkpoint} is of a run with other examples, another seed or another number of questions. "
                "Remove it, or name another folder."
            )
        for name, state in saved.items():
            parts[name].load_state_dict(state)
    lists = itertools.chain.from_iterable(
        epoch(examples, siblings, seed + number) for number in itertools.count()
    )
    batches = iter(lambda: list(itertools.islice(lists, QUESTIONS)), [])
    model.eval()  # without dropout, which takes a third of the time on a CPU and isn't missed
    for step, batch in enumerate(itertools.islice(batches, steps)):
        if step < done:
            continue  # drawn before the interruption
        optimizer.zero_grad()
        found = loss(model, batch)
        torch.autograd.backward(found)
        torch.nn.utils.clip_grad_norm_(body + heads, 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, steps, found.item())
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == steps:
            saved = {name: part.state_dict() for name, part in parts.items()}
            part = checkpoint.with_suffix(".part")
            torch.save(saved | {"done": step + 1, "run": run}, part)
            part.replace(checkpoint)


def write(model: Model, folder: Path, path: Path) -> None:
    """Write what the training changed in the weights of the folder, and the heads whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_deltas(path, _taught(Model(folder), heads=False), _taught(model, heads=True))


def _taught(model: Model, *, heads: bool) -> dict[str, npt.NDArray[np.float32]]:
    """The weights that training changes, by their names in the cross-encoder."""
    base = f"{model.scorer.base_model_prefix}."
    named = {name: values for name, values in model.scorer.named_parameters() if values.requires_grad}
    if heads:
        named |= {f"span.{name}": values for name, values in model.span.named_parameters()}
    return {name: values.detach().numpy() for name, values in named.items() if heads or name.startswith(base)}
