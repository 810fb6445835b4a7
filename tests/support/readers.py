"""Readers made of a file of weights."""

from functools import partial
from pathlib import Path

from rag.models.openvino_runtime import Network, converted
from rag.models.reader import CrossEncoderReader, reader_module


def reader_of(folder: Path, learnt: Path) -> CrossEncoderReader:
    network = Network(converted(partial(reader_module, folder, learnt), eight_bits=False))
    return CrossEncoderReader(network, folder, name=str(learnt))
