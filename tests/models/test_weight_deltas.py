import numpy as np
import pytest

from rag.models.weight_deltas import read_deltas, write_deltas


def test_what_training_changed_is_kept_to_half_a_step(tmp_path):
    numbers = np.random.default_rng(0)
    before = {"layer": numbers.normal(size=(3, 4)).astype(np.float32), "bias": np.ones(4, np.float32)}
    changes = np.array([[0.127, -0.01, 0.0, 0.05], [0, 0, 0, 0], [1.27, 0.5, -0.3, 0.004]], np.float32)
    after = {
        "layer": before["layer"] + changes,
        "bias": before["bias"] + 0.25,
        "head": np.full((2, 4), 0.5, np.float32),
    }
    write_deltas(tmp_path / "deltas", before, after)

    found = read_deltas(tmp_path / "deltas")

    assert sorted(found) == ["bias", "head", "layer"]
    assert np.abs(found["layer"] - changes).max(axis=1) == pytest.approx([0.0, 0.0, 0.004], abs=1e-6)
    assert found["bias"].tolist() == [0.25] * 4
    assert found["head"].tolist() == [[0.5] * 4] * 2


def test_the_file_has_one_byte_a_number(tmp_path):
    before = {"layer": np.zeros((100, 1000), np.float32)}
    write_deltas(tmp_path / "deltas", before, {"layer": np.ones((100, 1000), np.float32)})
    assert (tmp_path / "deltas").stat().st_size < 1.01 * 100_000


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100], ids=len)
def test_another_file_is_an_error(tmp_path, content):
    (tmp_path / "deltas").write_bytes(content)
    with pytest.raises(ValueError, match="deltas is damaged: "):
        read_deltas(tmp_path / "deltas")
