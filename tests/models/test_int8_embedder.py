"""Embedders with eight-bit weights, beside sentence-transformers with the weights as they are."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs
import pytest

import rag
from rag.errors import IndexFileError, ModelError
from rag.index.disk.store import reading
from rag.models.embedder import SentenceTransformerEmbedder, token_module
from rag.models.hub import download
from rag.models.int8_embedder import QuantisedEmbedder
from rag.models.openvino_runtime import Network, cached, converted
from rag.models.registry import Pooled, find_embedder, pooled
from tests.support import PATIENCE_S, SEEDS

pytestmark = pytest.mark.model

TEXT = "Normandy is a region of France. Its capital is Rouen."
SPANS = [(0, 31), (32, 53)]


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_embedder("embedded", download).path.parent


def quantised(folder: Path) -> QuantisedEmbedder:
    how = pooled(folder)
    assert how is not None
    network = Network(converted(partial(token_module, folder, how), eight_bits=True))
    return QuantisedEmbedder(network, folder, how, dimension=384)


@pytest.fixture(scope="module")
def embedder(folder) -> QuantisedEmbedder:
    return quantised(folder)


@pytest.fixture(scope="module")
def exact(folder) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder)


@pytest.fixture(scope="module")
def by_first_token(folder, tmp_path_factory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    saved = tmp_path_factory.mktemp("models") / "cls"
    transformer = Transformer(str(folder))
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(saved))
    return saved


def nearness(found: np.ndarray, expected: np.ndarray) -> float:
    """The least cosine of two rows."""
    assert found.shape == expected.shape
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    return float((found * expected).sum(axis=1).min())


def test_vectors_are_near_those_of_the_whole_weights(embedder, exact):
    texts = [path.read_text("utf-8")[:700] for path in sorted(SEEDS.glob("*.txt"))] + [TEXT, "Salt."]
    spans = [[(0, 4), (2, len(text))] for text in texts]
    vectors, of_spans = embedder.embed_with_spans(texts, spans)
    expected, expected_of_spans = exact.embed_with_spans(texts, spans)
    assert nearness(vectors, expected) > 0.99
    assert nearness(np.concatenate(of_spans), np.concatenate(expected_of_spans)) > 0.98
    assert embedder.embed(texts) == pytest.approx(vectors, abs=1e-5)


def test_tokens_are_counted_as_the_embedder_reads_them(embedder, exact):
    texts = [TEXT, "", "Zürich’s naïve cafés 北京", "word " * 300]
    assert embedder.count_tokens(texts) == exact.count_tokens(texts)
    assert (embedder.dimension, embedder.max_tokens) == (exact.dimension, exact.max_tokens)


def test_texts_of_any_number_and_length_keep_their_order(embedder):
    texts = [f"Word {number}. " * (1 + number % 60) + "End." for number in range(70)]
    spans = [[(0, len(text) - 5), (len(text) - 4, len(text))] for text in texts]
    vectors, of_spans = embedder.embed_with_spans(texts, spans)
    for number in (0, 31, 59, 69):
        alone, (of_alone,) = embedder.embed_with_spans([texts[number]], [spans[number]])
        assert nearness(vectors[number : number + 1], alone) > 0.9999
        assert nearness(of_spans[number], of_alone) > 0.9999


def test_no_texts_give_no_vectors(embedder):
    vectors, of_spans = embedder.embed_with_spans([], [])
    assert (vectors.shape, of_spans, embedder.count_tokens([])) == ((0, 384), [], [])


def test_pooling_by_the_first_token(by_first_token):
    embedder, exact = quantised(by_first_token), SentenceTransformerEmbedder(by_first_token)
    vectors, (of_spans, none) = embedder.embed_with_spans([TEXT, "Salt."], [SPANS, []])
    expected, (expected_of_spans, _) = exact.embed_with_spans([TEXT, "Salt."], [SPANS, []])
    assert nearness(vectors, expected) > 0.97
    assert nearness(of_spans, expected_of_spans) > 0.97
    assert none.shape == (0, 384)


def test_the_pooling_of_a_folder_is_read_from_its_files(folder, by_first_token, tmp_path):
    from sentence_transformers import SentenceTransformer

    assert pooled(folder) == Pooled("mean", 256)
    assert pooled(by_first_token) == Pooled("cls", 512)
    SentenceTransformer(str(folder), device="cpu").save(str(tmp_path / "saved"))
    assert pooled(tmp_path / "saved") == Pooled("mean", 256)
    assert pooled(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("tokenizer_config.json", {"padding_side": "left"}),
    ],
)
def test_a_folder_that_does_more_than_pool_is_used_as_it_is(folder, tmp_path, file, change):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    config = json.loads((copy / file).read_text("utf-8"))
    (copy / file).write_text(json.dumps(config | change))
    assert pooled(copy) is None
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.txt").write_text("Bread and salt.")
    rag.build(tmp_path / "documents", index=tmp_path / "index", embedder=copy)
    with reading(tmp_path / "index") as snapshot:
        assert snapshot.identity.precision == "fp32"
    assert rag.search("bread", index=tmp_path / "index", embedder=copy)[0].source == "a.txt"


def test_a_model_that_contradicts_its_files_is_reported(folder):
    with pytest.raises(ModelError) as raised:
        token_module(folder, Pooled("cls", 256))
    assert str(raised.value) == (f"{folder} can't be used in eight bits. Use it as it is: --precision fp32")


def test_a_folder_whose_tokenizer_is_damaged_is_reported(folder, embedder, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json can't be read"):
        QuantisedEmbedder(embedder._network, tmp_path, Pooled("mean", 256), dimension=384)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "rag" / "networks"


@pytest.mark.slow
def test_a_network_is_converted_once_for_a_machine(folder, cache):
    asked = []

    def make():
        asked.append("made")
        return token_module(folder, Pooled("mean", 256))

    inputs = (np.array([[101, 4162, 102]]), np.array([[1, 1, 1]]))
    (made,) = cached("key", make, eight_bits=True).run(inputs)
    assert made.shape == (1, 3, 384)
    (again,) = cached("key", make, eight_bits=True).run(inputs)
    assert again == pytest.approx(made)
    assert asked == ["made"]

    names = sorted(path.name for path in cache.iterdir())
    assert [Path(name).suffix for name in names] == [".bin", ".hash", ".xml"]
    content = (cache / names[0]).read_bytes()
    for times, damage in enumerate((b"cut off", content[:-1000] + bytes(1000)), 2):
        (cache / names[0]).write_bytes(damage)
        (repaired,) = cached("key", make, eight_bits=True).run(inputs)
        assert repaired == pytest.approx(made)
        assert len(asked) == times
        assert (cache / names[0]).read_bytes() == content


def test_a_cache_that_cannot_be_written_only_costs_time(folder, cache):
    cache.parent.write_text("a file where the folder should be")
    network = cached("key", partial(token_module, folder, Pooled("mean", 256)), eight_bits=True)
    (found,) = network.run((np.array([[101, 102]]), np.array([[1, 1]])))
    assert found.shape == (1, 2, 384)


def test_what_cannot_be_converted_is_reported():
    import torch

    class Fails(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("no such kernel\nand much more")

    with pytest.raises(ModelError, match=r"^OpenVINO can't run this model \(.*\)\.$"):
        converted(lambda: (Fails(), {"x": torch.zeros(1)}), eight_bits=False)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_many_first_texts_do_not_deadlock(attempt):
    """With frequent thread switches half of the attempts used to deadlock."""
    code = (
        "import sys; sys.setswitchinterval(1e-6)\n"
        "from rag import wiring\n"
        "from rag.models.hub import download\n"
        "from rag.models.registry import find_embedder\n"
        "embedder = wiring._embedder((find_embedder('embedded', download), 'int8'))\n"
        "print(embedder.embed([f'Bread {n}. ' * 80 for n in range(40)]).shape)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert ran.stdout.strip() == "(40, 384)"


def test_what_openvino_has_no_operation_for_is_reported():
    import torch

    class Transforms(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with pytest.raises(ModelError, match=r"^OpenVINO can't run this model \(.*\)\.$"):
        converted(lambda: (Transforms(), {"x": torch.eye(2)}), eight_bits=False)


def test_an_index_is_read_with_the_precision_it_was_built_with(tmp_path, monkeypatch):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.txt").write_text("Bread and salt. The river is wide.")
    location = {"index": tmp_path / "index"}
    rag.build(tmp_path / "documents", precision="fp32", **location)
    assert rag.search("bread", precision="fp32", **location)[0].source == "a.txt"
    with pytest.raises(IndexFileError) as raised:
        rag.search("bread", **location)
    assert str(raised.value) == (
        f"{tmp_path}/index/ was built with all-MiniLM-L6-v2 in fp32; settings name int8. Use --precision "
        "fp32, or rebuild it: rag build --rebuild"
    )
    monkeypatch.setenv("RAG_PRECISION", "fp32")
    assert rag.search("bread", **location)[0].source == "a.txt"


@pytest.mark.slow
def test_questions_need_no_library_that_made_the_weights(seed_settings):
    rag.answer("Who is the Kremlin spokesman?", index=seed_settings.index)  # once, they convert the weights
    code = (
        "import sys, rag\n"
        f"answer = rag.answer('Who is the Kremlin spokesman?', index={str(seed_settings.index)!r})\n"
        "assert 'Dmitry Peskov' in answer.text\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "print({'torch', 'transformers', 'sentence_transformers'} & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stdout.strip() == "set()"
