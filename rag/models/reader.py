"""Question and sentences → how well each answers, and in which words, by a cross-encoder taught to tell.

It is the embedded embedder with what `rag.training` taught its layers (see `rag.models.weight_deltas`), a
head that scores, and one that marks the first and the last token of the short answer.
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
"""Question and text together; what is beyond is cut off at the end."""

MAX_ANSWER_TOKENS = 20
"""How long a short answer may be."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_ENCODED = ("ids", "attention_mask", "type_ids")
BATCH = 4
"""So few at a time, and of about the same length, because padding costs as much as text."""


class Reader(Protocol):
    """What the stages need of a reader."""

    def read(self, question: str, texts: Sequence[str], ends: Sequence[int]) -> list[Reading]:
        """What each text says to the question, in order; its sentence is its first `end` characters."""


class CrossEncoderReader:
    """A reader on a network made of `reader_module`. Any number of threads may call it."""

    def __init__(self, network: Network, folder: Path, *, name: str) -> None:
        """Read with the tokenizer of the embedder's folder; `name` is what an error calls the reader."""
        self._network = network
        self._name = name
        self._tokenizer = read_tokenizer(folder, max_tokens=MAX_TOKENS)

    def read(self, question: str, texts: Sequence[str], ends: Sequence[int]) -> list[Reading]:
        """What each text says to the question, in order; its sentence is its first `end` characters."""
        found: dict[int, Reading] = {}
        encodings = self._tokenizer.encode_batch([(question, text) for text in texts])
        order = sorted(range(len(texts)), key=lambda place: len(encodings[place]))
        batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        batched = (inputs([encodings[place] for place in places], _ENCODED) for places in batches)
        for places, (odds, marks) in zip(batches, self._network.run_all(batched), strict=True):
            if not (np.isfinite(odds).all() and np.isfinite(marks).all()):
                raise ModelError(
                    f"{self._name} is damaged: it gives scores that are no numbers. Name another."
                )
            for row, place in enumerate(places):
                tokens = sentence_tokens(encodings[place], ends[place])
                start, end, probability = _span(marks[row], tokens)
                start, end = _whole_words(texts[place], start, end, ends[place])
                found[place] = Reading(float(odds[row]), start, end, probability)
        return [found[place] for place in range(len(texts))]


def reader_module(folder: Path, deltas: Path) -> tuple[Any, Mapping[str, Any]]:
    """A torch module, tokens, mask and kinds → scores and marks, and what it may be called with.

    It is the model of the folder with the deltas added; `ModelError` when they don't fit it.
    """
    import torch

    try:
        encoder = load_cross_encoder(folder, max_tokens=MAX_TOKENS)
        changes = {name: torch.from_numpy(values) for name, values in read_deltas(deltas).items()}
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
        module.requires_grad_(False)  # weights that are taught can't be traced from outside their module

    class Scores(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            given = (input_ids, attention_mask, token_type_ids)
            return forward(encoder.model, span, dict(zip(INPUTS, given, strict=True)))

    example = encode(encoder.tokenizer, [("Bread?", "Bread and salt."), ("War?", "War.")])
    return Scores().eval(), {name: example[name] for name in INPUTS}


def encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    """Questions and texts as tokens, padded to the longest."""
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
    read = scorer.base_model(**{name: encoded[name] for name in INPUTS})
    return scorer.classifier(read.pooler_output)[:, 0], span(read.last_hidden_state)


def sentence_tokens(encoding: Any, end: int) -> dict[int, tuple[int, int]]:
    """The tokens of a text's first `end` characters, with their offsets in it."""
    return {
        token: (first, last)
        for token, ((first, last), sequence) in enumerate(
            zip(encoding.offsets, encoding.sequence_ids, strict=True)
        )
        if sequence == 1 and last <= end
    }


def _span(marks: npt.NDArray[np.float32], tokens: dict[int, tuple[int, int]]) -> tuple[int, int, float]:
    """The likeliest (start, end) among the tokens, and its probability; 0 where there is no token."""
    if not tokens:
        return 0, 0, 0.0
    places = list(tokens)
    firsts, lasts = (_softmax(marks[places, side]) for side in (0, 1))
    worth = np.triu(np.tril(np.outer(firsts, lasts), MAX_ANSWER_TOKENS - 1))
    first, last = np.unravel_index(worth.argmax(), worth.shape)
    return tokens[places[first]][0], tokens[places[last]][1], float(worth[first, last])


def _whole_words(text: str, start: int, end: int, last: int) -> tuple[int, int]:
    """The span with the rest of its first and its last word, up to `last`; tokens are pieces of words."""
    while 0 < start < end and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while start < end < last and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
