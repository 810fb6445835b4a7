from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.index.disk.faiss_index import VectorIndex
from tests.support.vectors import index_of


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

    found = index_of(ids, vectors).search(query, k)

    cosines = vectors @ query
    best = np.argsort(-cosines)[:k]
    assert [i for i, _ in found] == ids[best].tolist()
    assert [cosine for _, cosine in found] == pytest.approx(cosines[best].tolist(), abs=1e-5)


@pytest.mark.slow
def test_what_came_later_and_what_is_gone_count(monkeypatch):
    ids, vectors = made(1, 300, 16)
    queries = made(2, 20, 16)[1]
    for exact in (1000, 100):
        monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", exact)
        monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 1_000)
        saved = index_of(ids[:200], vectors[:200])
        found = saved.changed(gone=ids[:50], ids=ids[200:], vectors=vectors[200:])
        expected = index_of(ids[50:], vectors[50:])
        assert len(found) == 250
        for query in queries:
            near, exactly = found.search(query, 10), expected.search(query, 10)
            assert [i for i, _ in near] == [i for i, _ in exactly]
            assert [c for _, c in near] == pytest.approx([c for _, c in exactly], abs=1e-3)
            among = np.concatenate([ids[40:60], ids[195:205]])
            near, exactly = found.search(query, 40, among=among), expected.search(query, 20, among=among[10:])
            assert [i for i, _ in near] == [i for i, _ in exactly]
            assert len(near) == 20
        assert saved.search(queries[0], 1) == saved.changed(
            gone=ids[:0], ids=ids[:0], vectors=vectors[:0]
        ).search(queries[0], 1)


def test_vectors_are_as_they_were_given(monkeypatch):
    ids, vectors = made(1, 300, 16)
    for exact in (1000, 100):
        monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", exact)
        found = index_of(ids[:200], vectors[:200]).changed(gone=ids[:5], ids=ids[200:], vectors=vectors[200:])
        assert found.vectors(ids[150:250]) == pytest.approx(vectors[150:250], abs=1e-3)
        assert found.vectors(np.array([10_000])) is None


@pytest.mark.slow
def test_with_many_vectors_few_lists_find_nearly_what_all_would(monkeypatch):
    """Near a few hundred centres, as texts are near their subjects."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, 32))
    vectors = centres[random.integers(200, size=20_000)] + 0.5 * random.normal(size=(20_000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = np.arange(20_000)
    monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", 10_000)
    monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 0.75)  # 18 of 566 lists
    found = index_of(ids, vectors)
    shares = []
    for query in vectors[::200]:
        exactly = np.argsort(-vectors.dot(query))[:10]
        shares.append(len({i for i, _ in found.search(query, 10)} & {*exactly.tolist()}) / 10)
    assert np.mean(shares) > 0.95


def test_of_equal_vectors_the_lowest_ids_are_found(monkeypatch):
    random = np.random.default_rng(0)
    ids, vectors = made(1, 2_000, 16)
    same = random.permutation(2_000)[:600]
    vectors[same] = vectors[same[0]]
    for exact in (10_000, 100):
        monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", exact)
        monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 1_000)
        left = np.sort(ids[same])[5:]
        index = index_of(ids, vectors).changed(gone=np.sort(ids[same])[:5], ids=ids[:0], vectors=vectors[:0])
        for k in (1, 50, 300):
            found = index.search(vectors[same[0]], k)
            assert [i for i, _ in found] == left[:k].tolist()
        found = index.search(vectors[same[0]], 20, among=left[100:200])
        assert [i for i, _ in found] == left[100:120].tolist()


@pytest.mark.slow
def test_many_threads_find_what_one_does(monkeypatch):
    monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", 1_000)
    ids, vectors = made(1, 20_000, 32)
    queries = made(2, 50, 32)[1]
    index = index_of(ids[:19_000], vectors[:19_000]).changed(
        gone=ids[:500], ids=ids[19_000:], vectors=vectors[19_000:]
    )
    among = ids[400:2_000]

    def asked(query: np.ndarray) -> list[list[tuple[int, float]]]:
        return [index.search(query, 20), index.search(query, 20, among=among)]

    expected = [asked(query) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            assert list(pool.map(asked, queries)) == expected


def test_an_empty_index_finds_nothing():
    index = index_of(np.zeros(0, dtype=np.int64), np.zeros((0, 4), dtype=np.float32))

    assert len(index) == 0
    assert index.search(np.ones(4, dtype=np.float32), 5) == []


def test_a_saved_index_finds_the_same(tmp_path):
    ids, vectors = made(1, 50, 8)
    index = index_of(ids, vectors)
    index.save(tmp_path / "vectors-1.faiss")

    loaded = VectorIndex.load(tmp_path / "vectors-1.faiss")

    assert loaded is not None
    assert loaded.search(vectors[3], 50) == index.search(vectors[3], 50)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors-1.faiss"]


def test_a_large_index_is_saved_and_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", 1_000)
    ids, vectors = made(1, 20_000, 64)
    index = index_of(ids, vectors)
    path = tmp_path / "vectors-1.faiss"
    index.save(path)
    assert path.stat().st_size > 2 * 2**20

    loaded = VectorIndex.load(path)

    assert loaded is not None
    for query in vectors[:20]:
        assert loaded.search(query, 20) == index.search(query, 20)
    for place in (20, path.stat().st_size // 2, path.stat().st_size - 1):
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        (tmp_path / "damaged").mkdir(exist_ok=True)
        (tmp_path / "damaged" / path.name).write_bytes(content)
        assert VectorIndex.load(tmp_path / "damaged" / path.name) is None, place


def test_there_is_no_index_in_a_missing_file(tmp_path):
    assert VectorIndex.load(tmp_path / "vectors-1.faiss") is None


def test_a_file_with_any_byte_changed_is_not_an_index(tmp_path):
    path = tmp_path / "vectors-1.faiss"
    index_of(*made(1, 5, 8)).save(path)
    content = path.read_bytes()

    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert VectorIndex.load(path) is None, place
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert VectorIndex.load(path) is None, length


def test_the_file_of_another_state_is_not_an_index(tmp_path):
    index_of(*made(1, 5, 8)).save(tmp_path / "vectors-1.faiss")
    (tmp_path / "vectors-1.faiss").rename(tmp_path / "vectors-2.faiss")

    assert VectorIndex.load(tmp_path / "vectors-2.faiss") is None
