"""How a reader works; its training is tested in `tests/training`, its quality by `rag eval`."""

from pathlib import Path

import pytest

from rag.errors import ModelError
from rag.models.hub import download
from rag.models.reader import CrossEncoderReader
from rag.models.registry import find_embedder, find_reader
from rag.types import Reading
from tests.support.readers import reader_of

pytestmark = pytest.mark.model

QUESTION = "When did the war begin?"
TEXTS = ("The war began in May 1914. « Nobody had wanted it.", "Snow fell.", "Bread was dear in all towns.")
ENDS = (26, 10, 28)


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_embedder("embedded", download).path.parent


@pytest.fixture(scope="module")
def reader() -> CrossEncoderReader:
    found = find_reader("embedded")
    assert found is not None
    base, changes = found
    return reader_of(base.path.parent, changes.path)


def deltas(path: Path, *, head: float | None = 0.0, spans: float = 0.0) -> Path:
    """The changes of a reader: none in its layers, and these values in its heads."""
    import torch
    from safetensors.torch import save_file

    tensors = {"span.weight": torch.full((2, 384), spans), "span.bias": torch.zeros(2)}
    if head is not None:
        tensors |= {"classifier.weight": torch.zeros(1, 384), "classifier.bias": torch.full((1,), head)}
    save_file(tensors, path)
    return path


def test_the_embedded_reader_finds_the_answer_and_its_words(reader):
    war, snow, bread = reader.read(QUESTION, TEXTS, ENDS)
    assert war.odds > max(snow.odds, bread.odds)
    assert TEXTS[0][war.start : war.end] == "May 1914"
    assert war.probability > 0.5


def test_each_text_is_read_as_it_is_alone(reader):
    texts, ends = TEXTS * 8, ENDS * 8
    together = reader.read(QUESTION, texts, ends)
    alone = [reader.read(QUESTION, [text], [end])[0] for text, end in zip(TEXTS, ENDS, strict=True)] * 8
    assert [(one.start, one.end) for one in together] == [(one.start, one.end) for one in alone]
    assert [one.odds for one in together] == pytest.approx([one.odds for one in alone], abs=1e-4)
    assert reader.read(QUESTION, [], []) == []


def test_text_outside_the_sentence_is_read_but_never_marked(reader):
    text = "Nobody wanted it. « The war began in May 1914."
    found = reader.read(QUESTION, [text, text], [17, len(text)])
    assert found[0].end <= 17
    assert text[found[1].start : found[1].end] == "May 1914"


def test_a_short_answer_is_whole_words(folder, tmp_path):
    # All tokens are equally likely, so the first piece of the first word is taken.
    (found,) = reader_of(folder, deltas(tmp_path / "mine")).read("War?", ["Xyzzyqs came."], [13])
    assert (found.start, found.end) == (0, 7)


def test_a_change_of_another_shape_is_reported(folder, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    path = deltas(tmp_path / "mine")
    save_file(load_file(path) | {"bert.pooler.dense.weight": torch.ones(1, 384)}, path)
    with pytest.raises(ModelError, match="is not a reader that fits"):
        reader_of(folder, path)


def test_a_text_without_a_token_of_its_sentence_has_no_short_answer(reader):
    assert [(one.start, one.end, one.probability) for one in reader.read("When?", ["", "War."], [0, 0])] == [
        (0, 0, 0.0)
    ] * 2


def test_a_long_question_and_a_long_sentence_are_read_as_far_as_they_fit(reader):
    (found,) = reader.read("war " * 500, ["The war began in May. " * 100], [2200])
    assert 0 <= found.start < found.end <= 2200


def test_it_scores_with_the_head_in_the_file(folder, tmp_path, caplog):
    reader = reader_of(folder, deltas(tmp_path / "mine", head=2.5))
    # All tokens are equally likely, so the first token alone is taken.
    assert reader.read("War?", ["War.", "Peace is"], [4, 8]) == [
        Reading(2.5, 0, 3, pytest.approx(1 / 4)),
        Reading(2.5, 0, 5, pytest.approx(1 / 4)),
    ]
    assert caplog.messages == []


@pytest.mark.parametrize("content", ["", "no weights", {"head": 1}, {"span.weight": 2, "span.bias": 2}])
def test_a_file_that_does_not_fit_is_reported(folder, tmp_path, content):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "mine.safetensors"
    if isinstance(content, dict):
        save_file({name: torch.zeros(size) for name, size in content.items()}, path)
    else:
        path.write_text(content)
    with pytest.raises(ModelError) as raised:
        reader_of(folder, path)
    assert str(raised.value).startswith(f"{path} is not a reader that fits {folder}: ")


def test_a_file_without_a_head_is_reported(folder, tmp_path):
    with pytest.raises(ModelError, match="is not a reader that fits"):
        reader_of(folder, deltas(tmp_path / "mine", head=None))


@pytest.mark.parametrize("damage", [{"head": float("nan")}, {"spans": float("inf")}])
def test_scores_that_are_not_numbers_are_reported(folder, tmp_path, damage):
    path = deltas(tmp_path / "mine", **damage)
    with pytest.raises(ModelError) as raised:
        reader_of(folder, path).read("War?", ["War."], [4])
    assert str(raised.value) == f"{path} is damaged: its scores are not numbers. Name another."
