"""Text → unit vectors; question and text → a score: the only module that imports sentence_transformers."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rag.errors import ModelError
from rag.models.pooling import Span, Vectors, each_alone, span_vectors, unit
from rag.models.registry import Pooled

_BATCH = 32


class Embedder(Protocol):
    """What the stages need of an embedder."""

    dimension: int
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text: float32 of shape (n, dimension), each of length 1."""

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and for each text one row for each of its spans, read in the text's context."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The word pieces of each text, special tokens included, before any cut."""


class SentenceTransformerEmbedder:
    """An embedder from a sentence-transformers folder. Any thread may call it; one works at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; `ModelError` when the folder doesn't hold one."""
        from sentence_transformers import SentenceTransformer

        hush()
        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except Exception as error:
            raise ModelError(
                f"{folder} is not an embedder that sentence-transformers can load: {error}"
            ) from error
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(f"{folder} doesn't say how many dimensions its vectors have.")
        self.dimension: int = dimension
        self.max_tokens: int = self._model.max_seq_length or 512
        self._mean_of_tokens = _is_pooled(self._model) and self._model[1].pooling_mode == "mean"
        # The fast tokenizer fails with "Already borrowed" when two threads use it at once.
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text: float32 of shape (n, dimension), each of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                batch_size=_BATCH,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)

    def embed_with_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As `embed`, and for each text one row for each of its spans, read in the text's context.

        Where a text's vector is the mean of its tokens', a span's is the mean of those inside it, which
        costs nothing more and finds the sentence that answers better than the sentence alone does. With
        another pooling each span is embedded by itself.
        """
        if not self._mean_of_tokens:
            return self.embed(texts), each_alone(self.embed, texts, spans)
        vectors: list[Vectors] = []
        of_spans: list[Vectors] = []
        for first in range(0, len(texts), _BATCH):
            with self._lock:
                batch = list(texts[first : first + _BATCH])
                read: Any = self._model.encode(
                    batch, batch_size=_BATCH, output_value=None, show_progress_bar=False
                )
                places = self._model.tokenizer(
                    batch, truncation=True, max_length=self.max_tokens, return_offsets_mapping=True
                )["offset_mapping"]
            for found, offsets, within in zip(read, places, spans[first:], strict=False):
                tokens = found["token_embeddings"].float().numpy()[: len(offsets)]
                vectors.append(found["sentence_embedding"].float().numpy())
                of_spans.append(span_vectors(tokens, np.array(offsets), within, vectors[-1]))
        return unit(np.array(vectors).reshape(-1, self.dimension)), of_spans

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The word pieces of each text, special tokens included, before any cut."""
        if not texts:
            return []
        with self._lock:
            encoded = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]


def token_module(folder: Path, pooled: Pooled) -> tuple[Any, Mapping[str, Any]]:
    """A torch module, tokens and mask → the vector of each token, and what it may be called with.

    `ModelError` when the folder's model isn't as `pooled` says.
    """
    import torch

    embedder = SentenceTransformerEmbedder(folder)
    model: Any = embedder._model
    if not _is_pooled(model) or Pooled(model[1].pooling_mode, embedder.max_tokens) != pooled:
        raise ModelError(f"{folder} can't be used in eight bits. Use it as it is: --precision fp32")

    model.requires_grad_(False)  # weights that are taught can't be traced from outside their module

    class Tokens(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return model[0].auto_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    example = model.tokenizer(["Bread and salt.", "War."], padding=True, return_tensors="pt")
    return Tokens().eval(), {name: example[name] for name in ("input_ids", "attention_mask")}


def _is_pooled(model: Any) -> bool:
    """Whether the model reads a text, pools its tokens, and does no more than scale the result."""
    kinds = [type(module).__name__ for module in model]
    plain = kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    tokens_are_placed = model.tokenizer.is_fast and model.tokenizer.padding_side == "right"
    return plain and model.default_prompt_name is None and bool(tokens_are_placed)


def hush() -> None:
    """Keep transformers from printing a line for each model that is loaded."""
    from transformers.utils import logging

    hush: Callable[[], None] = logging.disable_progress_bar
    hush()  # a line per model on stderr, where ours should be
