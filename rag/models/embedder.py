"""Text → unit vectors; question and text → a score: the only module that imports sentence_transformers."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rag.errors import ModelError
from rag.models.pooling import Span, Vectors, each_alone, span_vectors, unit
from rag.models.registry import POOLED_MODULES, Pooled

_BATCH = 32


class Embedder(Protocol):
    """What the stages need of an embedder."""

    dimension: int
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text: float32 of shape (n, dimension), each of length 1."""

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and per text one row for each of its spans, embedded in the text's context."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The number of word pieces of each text, special tokens included, before truncation."""


class SentenceTransformerEmbedder:
    """An embedder from a sentence-transformers folder. Any thread may call it; calls run one at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; `ModelError` when the folder doesn't hold one."""
        from sentence_transformers import SentenceTransformer

        hush()
        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except Exception as error:
            reason = f"is not an embedder that sentence-transformers can load: {error}"
            raise ModelError(f"{folder} {reason}") from error
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(f"{folder} doesn't say how many dimensions its vectors have.")
        self.dimension: int = dimension
        self.max_tokens: int = self._model.max_seq_length or 512
        self._mean_pooling = _is_pooled(self._model) and self._model[1].pooling_mode == "mean"
        # The fast tokenizer fails with "Already borrowed" when two threads use it at once.
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text: float32 of shape (n, dimension), each of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, dtype=np.float32)

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and per text one row for each of its spans, embedded in the text's context.

        With mean pooling a span's vector is the mean of the tokens inside it: that costs nothing more, and
        finds the sentence that answers better than the sentence embedded alone. With another pooling each
        span is embedded alone.
        """
        if not self._mean_pooling:
            return self.embed(texts), each_alone(self.embed, texts, spans)
        vectors: list[Vectors] = []
        span_rows: list[Vectors] = []
        for first in range(0, len(texts), _BATCH):
            with self._lock:
                batch = list(texts[first : first + _BATCH])
                outputs: Any = self._model.encode(
                    batch, batch_size=_BATCH, output_value=None, show_progress_bar=False
                )
                token_offsets = self._model.tokenizer(
                    batch, truncation=True, max_length=self.max_tokens, return_offsets_mapping=True
                )["offset_mapping"]
            for output, offsets, text_spans in zip(outputs, token_offsets, spans[first:], strict=False):
                tokens = output["token_embeddings"].float().numpy()[: len(offsets)]
                vectors.append(output["sentence_embedding"].float().numpy())
                span_rows.append(span_vectors(tokens, np.array(offsets), text_spans, vectors[-1]))
        return unit(np.array(vectors).reshape(-1, self.dimension)), span_rows

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The number of word pieces of each text, special tokens included, before truncation."""
        if not texts:
            return []
        with self._lock:
            encoded = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]


def token_module(folder: Path, pooled: Pooled) -> tuple[Any, Mapping[str, Any]]:
    """A torch module, tokens and mask → the vector of each token, and example inputs to trace it with.

    `ModelError` when the folder's model doesn't pool as `pooled` says.
    """
    import torch

    embedder = SentenceTransformerEmbedder(folder)
    model: Any = embedder._model
    if not _is_pooled(model) or Pooled(model[1].pooling_mode, embedder.max_tokens) != pooled:
        raise ModelError(f"{folder} can't be used in eight bits. Use it as it is: --precision fp32")

    model.requires_grad_(False)  # trainable weights can't be traced from outside their module

    class Tokens(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return model[0].auto_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    example = model.tokenizer(["Bread and salt.", "War."], padding=True, return_tensors="pt")
    return Tokens().eval(), {name: example[name] for name in ("input_ids", "attention_mask")}


def _is_pooled(model: Any) -> bool:
    """Whether the model pools the tokens of a text, and does no more than scale the result."""
    plain = [type(module).__name__ for module in model] in POOLED_MODULES
    has_offsets = model.tokenizer.is_fast and model.tokenizer.padding_side == "right"
    return plain and model.default_prompt_name is None and bool(has_offsets)


def hush() -> None:
    """Keep transformers from showing a progress bar on stderr for each model that is loaded."""
    from transformers.utils import logging

    disable: Callable[[], None] = logging.disable_progress_bar
    disable()
