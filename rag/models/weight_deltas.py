"""The changes of a model's weights in training ↔ a small file, to be added to the original weights.

A matrix is stored as one byte per number, with a step size for each row; other tensors as they are.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

Tensors = Mapping[str, npt.NDArray[np.float32]]

_STEPS = ".steps"


def write_deltas(path: Path, before: Tensors, after: Tensors) -> None:
    """Write the difference of `after` and `before`; a tensor that `before` lacks counts as zeros."""
    deltas: dict[str, npt.NDArray[np.generic]] = {}
    for name, values in after.items():
        delta = values - before[name] if name in before else values
        if delta.ndim != 2 or name not in before:
            deltas[name] = delta
            continue
        steps = np.maximum(np.abs(delta).max(axis=1), 1e-12) / 127
        deltas[name] = np.rint(delta / steps[:, None]).astype(np.int8)
        deltas[name + _STEPS] = steps
    save_file(deltas, path)


def read_deltas(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The change of each tensor; `OSError` when the file can't be read, `ValueError` when it is damaged."""
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    steps = {name.removesuffix(_STEPS): stored.pop(name) for name in [*stored] if name.endswith(_STEPS)}
    return {
        name: (values * steps[name][:, None] if name in steps else values).astype(np.float32)
        for name, values in stored.items()
    }
