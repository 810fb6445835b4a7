"""What training changed in a model's weights ↔ a small file, which is added to the weights it began from.

A matrix is kept as one byte a number, in steps of its own for each row; what else there is, as it is.
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
    """Write what makes `after` of `before`; a tensor that `before` lacks begins at zeros."""
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, values in after.items():
        delta = values - before[name] if name in before else values
        if delta.ndim != 2 or name not in before:
            found[name] = delta
            continue
        steps = np.maximum(np.abs(delta).max(axis=1), 1e-12) / 127
        found[name] = np.rint(delta / steps[:, None]).astype(np.int8)
        found[name + _STEPS] = steps
    save_file(found, path)


def read_deltas(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The changes by tensor; `OSError` when the file can't be read, `ValueError` when it isn't one."""
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return {
        name: (values * found[name + _STEPS][:, None] if name + _STEPS in found else values).astype(
            np.float32
        )
        for name, values in found.items()
        if not name.endswith(_STEPS)
    }
