"""Text → tokens, as the networks take them: the only module that imports tokenizers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ModelError


def read_tokenizer(folder: Path, *, max_tokens: int | None = None) -> Any:
    """The folder's tokenizer, which cuts a text at `max_tokens`; `ModelError` when it can't be read."""
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing more exact
        raise ModelError(f"{folder / 'tokenizer.json'} can't be read: {error}") from error
    tokenizer.no_padding()
    if max_tokens is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_tokens, strategy="longest_first")
    return tokenizer


def inputs(encodings: Sequence[Any], names: Sequence[str]) -> tuple[npt.NDArray[np.int64], ...]:
    """What encodings have under each of these names, each of shape (n, longest), with zeros at the ends."""
    return tuple(_padded([getattr(one, name) for one in encodings]) for name in names)


def _padded(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """The rows with zeros after the shorter ones, of shape (n, longest)."""
    found = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found
