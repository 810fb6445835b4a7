"""A torch module → a network that OpenVINO runs on the CPU: the only module that imports openvino."""

import contextlib
import itertools
import queue
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import platformdirs

from rag.errors import ModelError
from rag.models.cpu import cpu_count

_CONVERSION = 1
"""The version of the conversion, part of a cached network's name.

A conversion that changes vectors changes indexes too: raise `rag.index.disk.schema.SCHEMA_VERSION` with it.
"""

_loading = threading.Lock()
"""One thread at a time imports OpenVINO and compiles a network."""

_GROUP = ["rag", "activation_group"]
"""Where a network keeps the size of the groups in which the numbers that enter a layer are quantised."""

Inputs: TypeAlias = tuple[npt.NDArray[np.int64], ...]
Outputs: TypeAlias = tuple[npt.NDArray[np.float32], ...]
Make: TypeAlias = Callable[[], tuple[Any, Mapping[str, Any]]]
"""Gives a torch module, and example tensors by the names of its arguments, to trace it with."""


class Network:
    """A network on all cores that the process may use. Any thread may run it."""

    def __init__(self, model: Any) -> None:
        """Compile an OpenVINO model, whose inputs are integer arrays of shape (n, length)."""
        self._cores = cpu_count()
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": self._cores, "NUM_STREAMS": self._cores}
        if model.has_rt_info(_GROUP):
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(model.get_rt_info(_GROUP).astype(str))
        compiled = _openvino().Core().compile_model(model, "CPU", options)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self._cores):
            self._requests.put(compiled.create_infer_request())
        # Two threads whose first arrays reach OpenVINO at the same time can deadlock.
        self.run(tuple(np.ones((1, 1), dtype=np.int64) for _ in compiled.inputs))

    def run(self, inputs: Inputs) -> Outputs:
        """The outputs for one batch, whose inputs are in the order of the module's arguments."""
        request = self._requests.get()
        try:
            outputs: Outputs = request.infer(list(inputs)).to_tuple()
            return outputs
        finally:
            self._requests.put(request)

    def run_all(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """The outputs for each batch, in order; all cores work ahead while the caller uses one."""
        pending = iter(batches)
        with ThreadPoolExecutor(self._cores) as pool:
            running = [pool.submit(self.run, batch) for batch in itertools.islice(pending, 2 * self._cores)]
            while running:
                yield running.pop(0).result()
                running.extend(pool.submit(self.run, batch) for batch in itertools.islice(pending, 1))


def cached(key: str, make: Make, *, eight_bits: bool) -> Network:
    """The network cached on this machine under `key`, or else converted now and cached.

    With `eight_bits` weights are eight-bit numbers with a scale per row, and so are the numbers they are
    multiplied with, with a scale per token. `ModelError` when the module can't be converted or run.
    """
    with _loading:
        openvino = _openvino()
        release = openvino.__version__.partition("-")[0]
        name = f"{key}-{_CONVERSION}-openvino-{release}.xml"
        path = platformdirs.user_cache_path("rag") / "networks" / name
        # A damaged file is converted again: OpenVINO would silently read wrong numbers.
        with contextlib.suppress(OSError, RuntimeError):
            if path.with_suffix(".hash").read_text("ascii") == _hash(path):
                return Network(openvino.Core().read_model(path))
        model = converted(make, eight_bits=eight_bits)
        # A cache that can't be written, as in a read-only home, only means converting again next time.
        with contextlib.suppress(OSError, RuntimeError):
            _save(model, path)
        try:
            return Network(model)
        except RuntimeError as error:
            raise _unusable(error) from error


def _save(model: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        _openvino().save_model(model, new, compress_to_fp16=False)
        new.with_suffix(".hash").write_text(_hash(new), "ascii")
        for file in new.parent.iterdir():
            file.replace(path.with_name(file.name))


def _hash(path: Path) -> str:
    """The hash of a network's two files."""
    digest = blake2b(path.read_bytes())
    digest.update(path.with_suffix(".bin").read_bytes())
    return digest.hexdigest()


def converted(make: Make, *, eight_bits: bool) -> Any:
    """The module as an OpenVINO model; `ModelError` when it can't be converted."""
    _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    module, example = make()
    # Not `openvino.convert_model`, which also loads code for other frameworks and for telemetry.
    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a trace may not hold for other inputs
        try:
            traced = TorchScriptPythonDecoder(module, example_input=dict(example))
            model = frontend.convert(frontend.load(traced))
        except Exception as error:  # OpenVINO's own have no common class
            raise _unusable(error) from error
    if eight_bits:
        _quantise(model)
    return model


def _unusable(error: Exception) -> ModelError:
    reason = str(error).strip().partition("\n")[0][:200]
    return ModelError(f"OpenVINO can't run this model ({reason}).")


def _openvino() -> Any:
    """The library without its telemetry, which it does without when that can't be imported."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # importing it fails
    import openvino

    return openvino


def _quantise(model: Any) -> None:
    """Replace each weight matrix with eight-bit numbers and a scale for each row."""
    openvino = _openvino()
    from openvino import opset13

    width = 0
    for node in model.get_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = node.input_value(1).get_node().data.astype(np.float32)
        input_axis = 1 if node.get_attributes()["transpose_b"] else 0
        scales = np.maximum(np.abs(weights).max(axis=input_axis, keepdims=True) / 127, 1e-12)
        rounded = opset13.constant(np.round(weights / scales).astype(np.int8), dtype=openvino.Type.i8)
        scaled = opset13.multiply(opset13.convert(rounded, "f32"), opset13.constant(scales))
        node.input(1).replace_source_output(scaled.output(0))
        width = min(width or weights.shape[input_axis], weights.shape[input_axis])
    model.validate_nodes_and_infer_types()
    # The input width of the narrowest layer: OpenVINO doesn't quantise what narrower layers read.
    model.set_rt_info(str(width), _GROUP)
