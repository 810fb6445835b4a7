"""The recipe of the reader in small: it learns, is written and read, and goes on after an interruption."""

from pathlib import Path

import pytest

from rag.answering.sentence_reranking import read_as
from rag.errors import ModelError
from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.training import reader
from rag.training.figures import figures
from rag.training.siblings import Siblings
from tests.support.readers import reader_of
from tests.support.training_examples import EXAMPLES

pytestmark = [pytest.mark.model, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_embedder("embedded", download).path.parent


def train(folder: Path, out: Path, *, questions: int, stop_after: int | None = None) -> list[float]:
    """The losses, step by step; with `stop_after` the run is interrupted after so many steps."""
    model, losses = reader.Model(folder, seed=0), []

    def report(done: int, steps: int, loss: float) -> None:
        losses.append(loss)
        if stop_after is not None and done > stop_after:
            raise KeyboardInterrupt

    try:
        reader.train(
            model,
            EXAMPLES,
            Siblings(folder),
            questions=questions,
            seed=0,
            checkpoint=out / "checkpoint",
            report=report,
        )
        reader.write(model, folder, out / "reader.safetensors")
    except KeyboardInterrupt:
        pass
    return losses


def test_it_learns_to_choose_to_refuse_and_to_mark(folder, tmp_path):
    losses = train(folder, tmp_path, questions=320)
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    found = reader_of(folder, tmp_path / "reader.safetensors")
    assert figures(found, EXAMPLES) == {"rivers first": 1.0, "rivers f1": 1.0, "rivers auc": 1.0}
    text = read_as("The Rhine rises in Chur.", "")
    (reading,) = found.read("Where does the Rhine rise?", [text], [len(text)])
    assert (reading.start, reading.end) == (19, 23)


def test_an_interrupted_run_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "CHECKPOINT_STEPS", 2)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = train(folder, tmp_path / "whole", questions=40)
    first = train(folder, tmp_path / "parts", questions=40, stop_after=2)
    rest = train(folder, tmp_path / "parts", questions=40)
    assert [*first[:2], *rest] == pytest.approx(whole, abs=1e-5)
    files = [tmp_path / name / "reader.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_checkpoint_of_another_run_is_reported(folder, tmp_path):
    train(folder, tmp_path, questions=16)
    with pytest.raises(ModelError) as raised:
        train(folder, tmp_path, questions=24)
    assert str(raised.value) == (
        f"{tmp_path / 'checkpoint'} is of a run with other examples, another seed or another number of "
        "questions. Remove it, or name another folder."
    )


def test_nothing_to_learn_from_is_reported(folder, tmp_path):
    with pytest.raises(ModelError, match="There is no example to learn from"):
        reader.train(
            reader.Model(folder),
            [],
            Siblings(folder),
            questions=8,
            seed=0,
            checkpoint=tmp_path / "checkpoint",
            report=print,
        )
