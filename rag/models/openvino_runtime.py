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

_MADE = 1
"""Of how a network is made of a module: one that was kept by another rule isn't used.

Where its vectors are others, so is the index: `rag.index.disk.schema.SCHEMA_VERSION` changes with it.
"""

_loading = threading.Lock()
"""OpenVINO is imported, and a network compiled, by one thread at a time."""

Inputs: TypeAlias = tuple[npt.NDArray[np.int64], ...]
Outputs: TypeAlias = tuple[npt.NDArray[np.float32], ...]
Make: TypeAlias = Callable[[], tuple[Any, Mapping[str, Any]]]
"""Gives a torch module, and tensors by the names of its arguments, to see what it does with them."""


class Network:
    """A network on as many cores as the process may use. Any thread may run it."""

    def __init__(self, model: Any) -> None:
        """Compile what OpenVINO has read or converted, which takes arrays of whole numbers, (n, length)."""
        openvino = _openvino()
        cores = cpu_count()
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": cores}
        if group := _rt_info(model, "activation_group"):
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = group
        compiled = openvino.Core().compile_model(model, "CPU", options)
        self._cores = cores
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(cores):
            self._requests.put(compiled.create_infer_request())
        # Two threads whose first arrays reach OpenVINO at once can wait for each other for ever.
        self.run(tuple(np.ones((1, 1), dtype=np.int64) for _ in compiled.inputs))

    def run(self, inputs: Inputs) -> Outputs:
        """What the network makes of one batch; the inputs are in the order of the module's arguments."""
        request = self._requests.get()
        try:
            found = request.infer(list(inputs))
            return tuple(found[place] for place in range(len(found)))
        finally:
            self._requests.put(request)

    def run_all(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """What it makes of each batch, in order; all cores work on them while the caller takes one."""
        pending = iter(batches)
        first = list(itertools.islice(pending, 2))
        if len(first) < 2:
            yield from map(self.run, first)
            return
        pending = itertools.chain(first, pending)
        with ThreadPoolExecutor(self._cores) as pool:
            running = [pool.submit(self.run, batch) for batch in itertools.islice(pending, 2 * self._cores)]
            while running:
                yield running.pop(0).result()
                running.extend(pool.submit(self.run, batch) for batch in itertools.islice(pending, 1))


def cached(key: str, make: Make, *, eight_bits: bool) -> Network:
    """The network that was kept under the key on this machine, or else converted now and kept.

    With `eight_bits` the weights are eight-bit numbers, one scale for each row, and so is what they are
    multiplied with, one scale for each token.
    """
    with _loading:
        return _cached(key, make, eight_bits=eight_bits)


def _cached(key: str, make: Make, *, eight_bits: bool) -> Network:
    openvino = _openvino()
    release = openvino.__version__.partition("-")[0]
    path = platformdirs.user_cache_path("rag") / "networks" / f"{key}-{_MADE}-openvino-{release}.xml"
    # A file that was damaged is made anew: OpenVINO reads other numbers without a word.
    with contextlib.suppress(OSError, RuntimeError):
        if path.with_suffix(".hash").read_text("ascii") == _hash(path):
            return Network(openvino.Core().read_model(path))
    model = converted(make, eight_bits=eight_bits)
    # A cache that can't be written, as in a read-only home, only means converting again next time.
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            new = Path(made) / path.name
            openvino.save_model(model, new, compress_to_fp16=False)
            new.with_suffix(".hash").write_text(_hash(new), "ascii")
            for file in new.parent.iterdir():
                file.replace(path.with_name(file.name))
    try:
        return Network(model)
    except RuntimeError as error:
        raise _unusable(error) from error


def _hash(path: Path) -> str:
    """Of the two files of a network."""
    found = blake2b()
    for file in (path, path.with_suffix(".bin")):
        found.update(file.read_bytes())
    return found.hexdigest()


def converted(make: Make, *, eight_bits: bool) -> Any:
    """The module as OpenVINO's model; `ModelError` when it can't be converted."""
    _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    module, example = make()
    # Not `openvino.convert_model`, whose code for other frameworks and reports isn't needed.
    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a trace holds for inputs of this kind alone
        try:
            traced = TorchScriptPythonDecoder(module, example_input=dict(example))
            model = frontend.convert(frontend.load(traced))
        except Exception as error:  # OpenVINO's own are of no common kind
            raise _unusable(error) from error
    if eight_bits:
        _quantise(model)
    return model


def _unusable(error: Exception) -> ModelError:
    reason = str(error).strip().partition("\n")[0][:200]
    return ModelError(f"OpenVINO can't run this model ({reason}).")


def _openvino() -> Any:
    """The library, which tells its makers that it is used unless the part that does is missing."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # so that importing it fails
    import openvino

    return openvino


def _quantise(model: Any) -> None:
    """Make each matrix of weights one of eight-bit numbers with a scale for each of its rows."""
    openvino = _openvino()
    from openvino import opset13

    width = 0
    for node in model.get_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = node.input_value(1).get_node().data.astype(np.float32)
        of_inputs = 1 if node.get_attributes()["transpose_b"] else 0
        scales = np.maximum(np.abs(weights).max(axis=of_inputs, keepdims=True) / 127, 1e-12)
        rounded = opset13.constant(np.round(weights / scales).astype(np.int8), dtype=openvino.Type.i8)
        scaled = opset13.multiply(opset13.convert(rounded, "f32"), opset13.constant(scales))
        node.input(1).replace_source_output(scaled.output(0))
        width = min(width or weights.shape[of_inputs], weights.shape[of_inputs])
    model.validate_nodes_and_infer_types()
    # As many as the narrowest layer takes in: OpenVINO leaves narrower layers as they are.
    model.set_rt_info(str(width), ["rag", "activation_group"])


def _rt_info(model: Any, name: str) -> str | None:
    return str(model.get_rt_info(["rag", name]).astype(str)) if model.has_rt_info(["rag", name]) else None
