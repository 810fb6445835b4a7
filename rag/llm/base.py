"""What the stages need of a language model."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

CONTEXT_TOKENS = 2048
"""Tokens for prompt and reply together; fewer where the model was trained for fewer."""


class LanguageModel(Protocol):
    """What the stages need of a language model. One thread may use it (see `rag.llm.worker`).

    `takes_grammar` says whether a grammar can restrict what it writes.
    """

    name: str
    context_tokens: int
    parameters: int
    takes_grammar: bool

    def count_prompt(self, message: str, *, opening: str) -> int:
        """The tokens of the message in the model's chat format, `opening` included."""

    def count_tokens(self, text: str) -> int:
        """The tokens of the text."""

    def can_write(self, text: str) -> bool:
        """Whether the model has tokens for all of the text's bytes, so that a grammar can ask for it."""

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
        """The model's reply to a user's message, in pieces: at each step the likeliest token of the grammar.

        The reply continues `opening`. `bias` is added to the logits of the tokens that are these ASCII
        characters, at every step. It stops at `max_tokens`, or soon after `cancelled()` is true, in
        mid-computation.
        """
