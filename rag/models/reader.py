"""Question and sentences → how well each answers, and in which words, by a trained cross-encoder.

It is the embedded embedder with the changes of `rag.training` (see `rag.models.weight_deltas`), a head that
scores, and a head that marks the first and the last token of the short answer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rag.errors import ModelError
from rag.models.cross_encoder import load_cross_encoder
from rag.models.openvino_runtime import Network
from rag.models.tokenizer import inputs, read_tokenizer
from rag.models.weight_deltas import read_deltas
from rag.types import Reading

MAX_TOKENS = 128
"""Of question and text together; a longer pair is truncated."""

MAX_ANSWER_TOKENS = 20
"""The longest short answer."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_ENCODED = ("ids", "attention_mask", "type_ids")
BATCH = 4
"""Few texts at a time, of about the same length, because padding costs as much as text."""


class Reader(Protocol):
    """What the stages need of a reader."""

    def read(self, question: str, texts: Sequence[str], ends: Sequence[int]) -> list[Reading]:
        """The reading of each text, in order; its sentence is its first `end` characters."""


class CrossEncoderReader:
    """A reader on a network made from `reader_module`. Threads may call it at the same time."""

    def __init__(self, network: Network, folder: Path, *, name: str) -> None:
        """Use the tokenizer of the embedder's folder; errors call the reader `name`."""
        self._network = network
        self._name = name
        self._tokenizer = read_tokenizer(folder, max_tokens=MAX_TOKENS)

    def read(self, question: str, texts: Sequence[str], ends: Sequence[int]) -> list[Reading]:
        """The reading of each text, in order; its sentence is its first `end` characters."""
        readings: dict[int, Reading] = {}
        encodings = self._tokenizer.encode_batch([(question, text) for text in texts])
        order = sorted(range(len(texts)), key=lambda index: len(encodings[index]))
        batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        batched = (inputs([encodings[index] for index in batch], _ENCODED) for batch in batches)
        for batch, (odds, marks) in zip(batches, self._network.run_all(batched), strict=True):
            if not (np.isfinite(odds).all() and np.isfinite(marks).all()):
                raise ModelError(f"{self._name} is damaged: its scores are not numbers. Name another.")
            for row, index in enumerate(batch):
                tokens = sentence_tokens(encodings[index], ends[index])
                start, end, probability = _span(marks[row], tokens)
                start, end = _whole_words(texts[index], start, end, ends[index])
                readings[index] = Reading(float(odds[row]), start, end, probability)
        return [readings[index] for index in range(len(texts))]


def reader_module(folder: Path, deltas: Path) -> tuple[Any, Mapping[str, Any]]:
    """A torch module, `INPUTS` → scores and marks, and example inputs to trace it with.

    It is the model of the folder with the deltas added; `ModelError` when they don't fit it.
    """
    import torch

    try:
        encoder = load_cross_encoder(folder, max_tokens=MAX_TOKENS)
        changes = {name: torch.from_numpy(change) for name, change in read_deltas(deltas).items()}
        span = torch.nn.Linear(encoder.model.config.hidden_size, 2)
        for head, part in ((span, "span"), (encoder.model.classifier, "classifier")):
            head.load_state_dict({name: changes.pop(f"{part}.{name}") for name in ("weight", "bias")})
        weights = dict(encoder.model.named_parameters())
        with torch.no_grad():
            for name, change in changes.items():
                weights[name].copy_(weights[name] + change.reshape(weights[name].shape))
    except Exception as error:
        raise ModelError(f"{deltas} is not a reader that fits {folder}: {error}") from error

    for module in (encoder.model, span):
        module.requires_grad_(False)  # trainable weights can't be traced from outside their module

    class Scores(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            tensors = (input_ids, attention_mask, token_type_ids)
            return forward(encoder.model, span, dict(zip(INPUTS, tensors, strict=True)))

    example = encode(encoder.tokenizer, [("Bread?", "Bread and salt."), ("War?", "War.")])
    return Scores().eval(), {name: example[name] for name in INPUTS}


def encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    """(Question, text) pairs as tokens, padded to the longest."""
    return tokenizer(
        [question for question, _ in pairs],
        [text for _, text in pairs],
        truncation="longest_first",
        max_length=MAX_TOKENS,
        padding=True,
        return_offsets_mapping=True,
        return_tensors="pt",
    )


def forward(scorer: Any, span: Any, encoded: Any) -> tuple[Any, Any]:
    """The scores, of shape (n,), and the logits of the first and the last token, of shape (n, tokens, 2)."""
    hidden = scorer.base_model(**{name: encoded[name] for name in INPUTS})
    return scorer.classifier(hidden.pooler_output)[:, 0], span(hidden.last_hidden_state)


def sentence_tokens(encoding: Any, end: int) -> dict[int, tuple[int, int]]:
    """The tokens of a text's first `end` characters, with their offsets in it."""
    pairs = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    return {
        token: offsets
        for token, (offsets, sequence) in enumerate(pairs)
        if sequence == 1 and offsets[1] <= end
    }


def _span(marks: npt.NDArray[np.float32], tokens: dict[int, tuple[int, int]]) -> tuple[int, int, float]:
    """The likeliest (start, end) among the tokens, and its probability; 0 where there is no token."""
    if not tokens:
        return 0, 0, 0.0
    rows, offsets = list(tokens), list(tokens.values())
    firsts, lasts = (_softmax(marks[rows, side]) for side in (0, 1))
    probabilities = np.triu(np.tril(np.outer(firsts, lasts), MAX_ANSWER_TOKENS - 1))
    first, last = np.unravel_index(probabilities.argmax(), probabilities.shape)
    return offsets[first][0], offsets[last][1], float(probabilities[first, last])


def _whole_words(text: str, start: int, end: int, last: int) -> tuple[int, int]:
    """The span extended to whole words, up to `last`; tokens are pieces of words."""
    while 0 < start < end and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while start < end < last and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max())
    return np.asarray(exponentials / exponentials.sum())
