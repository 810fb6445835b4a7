"""Fakes whose arithmetic can be done by hand."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from rag.models.pooling import each_alone
from rag.types import Reading

VOCABULARY = ("war", "peace", "bread", "salt", "river")


class WordEmbedder:
    """An embedder over five words: a text's vector counts them, scaled to length 1."""

    dimension = len(VOCABULARY)
    max_tokens = 20

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded.extend(texts)
        counts = np.array(
            [[text.lower().count(word) for word in VOCABULARY] for text in texts], dtype=np.float32
        ).reshape(len(texts), self.dimension)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)

    def embed_with_spans(self, texts, spans) -> tuple[np.ndarray, list[np.ndarray]]:
        return self.embed(texts), each_alone(WordEmbedder().embed, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]


class ScriptedReader:
    """A reader whose odds of a sentence are those given for it, and that marks the same place each time."""

    def __init__(self, odds: Mapping[str, float], marks: tuple[int, int, float] = (0, 0, 0.0)) -> None:
        self.odds = odds
        self.marks = marks
        self.asked: list[tuple[str, list[str]]] = []

    def read(self, question: str, texts: Sequence[str], ends: Sequence[int]) -> list[Reading]:
        self.asked.append((question, list(texts)))
        sentences = [text[:end] for text, end in zip(texts, ends, strict=True)]
        return [Reading(self.odds[sentence], *self.marks) for sentence in sentences]


class QueuedModel:
    """A language model that replies with the queued texts, in pieces, and records what it was asked."""

    name = "queued"
    takes_grammar = True

    def __init__(self, *replies: str, parameters: int = 135_000_000, context_tokens: int = 2048) -> None:
        self.replies = list(replies)
        self.parameters = parameters
        self.context_tokens = context_tokens
        self.messages: list[str] = []
        self.openings: list[str] = []
        self.grammars: list[str] = []
        self.biases: list[dict[str, float]] = []

    def count_prompt(self, message: str, *, opening: str) -> int:
        return len(message.split()) + len(opening.split())

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def can_write(self, text: str) -> bool:
        return "\x04" not in text

    def generate(
        self,
        message: str,
        *,
        opening: str,
        grammar: str,
        bias: Mapping[str, float],
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        self.messages.append(message)
        self.openings.append(opening)
        self.grammars.append(grammar)
        self.biases.append(dict(bias))
        reply = self.replies.pop(0)
        for start in range(0, len(reply), 5):
            if cancelled():
                return
            yield reply[start : start + 5]
