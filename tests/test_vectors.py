import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.vectors import VectorIndex


def made(seed: int, count: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return random.permutation(10 * count)[:count].astype(np.int64), vectors


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 200), k=st.integers(1, 250))
def test_the_top_k_are_those_of_a_dot_product(seed, count, k):
    ids, vectors = made(seed, count, 16)
    query = made(seed + 1, 1, 16)[1][0]

    found = VectorIndex(ids, vectors).search(query, k)

    cosines = vectors @ query
    best = np.argsort(-cosines)[:k]
    assert [i for i, _ in found] == ids[best].tolist()
    assert [cosine for _, cosine in found] == pytest.approx(cosines[best].tolist(), abs=1e-5)


def test_cosines_are_in_the_order_of_the_ids():
    vectors = np.eye(3, dtype=np.float32)
    index = VectorIndex(np.array([7, 3, 9]), vectors)

    assert index.cosines(np.array([0.6, 0.8, 0.0], dtype=np.float32), [9, 7, 3]) == pytest.approx(
        [0.0, 0.6, 0.8]
    )


def test_an_empty_index_finds_nothing():
    index = VectorIndex(np.zeros(0, dtype=np.int64), np.zeros((0, 4), dtype=np.float32))

    assert len(index) == 0
    assert index.search(np.ones(4, dtype=np.float32), 5) == []


def test_a_saved_index_finds_the_same(tmp_path):
    ids, vectors = made(1, 50, 8)
    index = VectorIndex(ids, vectors)
    index.save(tmp_path / "vectors-1.faiss")

    loaded = VectorIndex.load(tmp_path / "vectors-1.faiss")

    assert loaded is not None
    assert loaded.search(vectors[3], 50) == index.search(vectors[3], 50)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors-1.faiss"]


def test_there_is_no_index_in_a_missing_file(tmp_path):
    assert VectorIndex.load(tmp_path / "vectors-1.faiss") is None


def test_a_file_with_any_byte_changed_is_not_an_index(tmp_path):
    path = tmp_path / "vectors-1.faiss"
    VectorIndex(*made(1, 5, 8)).save(path)
    content = path.read_bytes()

    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert VectorIndex.load(path) is None, place
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert VectorIndex.load(path) is None, length


def test_the_file_of_another_state_is_not_an_index(tmp_path):
    VectorIndex(*made(1, 5, 8)).save(tmp_path / "vectors-1.faiss")
    (tmp_path / "vectors-1.faiss").rename(tmp_path / "vectors-2.faiss")

    assert VectorIndex.load(tmp_path / "vectors-2.faiss") is None
