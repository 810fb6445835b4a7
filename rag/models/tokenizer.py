"""Text → token arrays for the networks: the only module that imports tokenizers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ModelError


def read_tokenizer(folder: Path, *, max_tokens: int | None = None) -> Any:
    """The folder's tokenizer, truncating at `max_tokens`; `ModelError` when it can't be read."""
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing more specific
        raise ModelError(f"{folder / 'tokenizer.json'} can't be read: {error}") from error
    tokenizer.no_padding()
    if max_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_tokens, strategy="longest_first")
    return tokenizer


def inputs(encodings: Sequence[Any], names: Sequence[str]) -> tuple[npt.NDArray[np.int64], ...]:
    """One array for each of these attributes of the encodings, of shape (n, longest), padded with zeros."""
    arrays = tuple(np.zeros((len(encodings), max(map(len, encodings))), dtype=np.int64) for _ in names)
    for name, array in zip(names, arrays, strict=True):
        for row, encoding in enumerate(encodings):
            array[row, : len(encoding)] = getattr(encoding, name)
    return arrays
