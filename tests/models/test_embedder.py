from pathlib import Path

import numpy as np
import pytest

import rag
from rag import settings
from rag.errors import ModelError
from rag.models.cross_encoder import CrossEncoderReranker
from rag.models.embedder import SentenceTransformerEmbedder
from rag.models.hub import download
from rag.models.registry import find_embedder, find_reranker

pytestmark = pytest.mark.model

TEXT = "Normandy is a region of France. Its capital is Rouen."
SPANS = [(0, 31), (32, 53)]


def tiny_cross_encoder(folder: Path, scores: int = 1) -> Path:
    """A cross-encoder with the embedded embedder's vocabulary and random weights, saved in the folder."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_embedder("embedded", download).path.parent)
    config = BertConfig(  # type: ignore[call-arg]  # num_labels is its base class's
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
        num_labels=scores,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_embedder("embedded", download).path.parent


@pytest.fixture(scope="module")
def embedder(folder) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder)


def test_texts_are_embedded_as_sentence_transformers_does(embedder, folder):
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(folder), device="cpu").encode(
        [TEXT, "Salt."], normalize_embeddings=True
    )
    vectors, of_spans = embedder.embed_with_spans([TEXT, "Salt."], [SPANS, []])
    assert embedder.embed([TEXT, "Salt."]) == pytest.approx(expected, abs=1e-6)
    assert vectors == pytest.approx(expected, abs=1e-6)
    assert [found.shape for found in of_spans] == [(2, 384), (0, 384)]


def test_a_span_is_the_mean_of_its_tokens_in_the_context_of_its_text(embedder, folder):
    from sentence_transformers import SentenceTransformer

    read = SentenceTransformer(str(folder), device="cpu").encode(TEXT, output_value=None)
    tokens = read["token_embeddings"].numpy()
    # [CLS] normandy is a region of france . its capital is rouen . [SEP], rouen being two pieces
    pieces = embedder._model.tokenizer.convert_ids_to_tokens(read["input_ids"])
    assert (pieces[1], pieces[7], pieces[8], pieces[-2]) == ("normandy", ".", "its", ".")
    _, (found,) = embedder.embed_with_spans([TEXT], [SPANS])
    for row, inside in zip(found, (tokens[1:8], tokens[8:-1]), strict=True):
        mean = inside.mean(axis=0)
        assert row == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_texts_of_any_number_and_length_keep_their_order(embedder):
    texts = [f"Word {number}. " * (1 + number % 7) + "End." for number in range(70)]
    spans = [[(0, len(text) - 5), (len(text) - 4, len(text))] for text in texts]
    vectors, of_spans = embedder.embed_with_spans(texts, spans)
    for number in (0, 31, 32, 69):
        alone, (of_alone,) = embedder.embed_with_spans([texts[number]], [spans[number]])
        assert vectors[number] == pytest.approx(alone[0], abs=1e-5)
        assert of_spans[number] == pytest.approx(of_alone, abs=1e-5)


def test_a_span_without_a_token_has_the_vector_of_its_text(embedder):
    vectors, (of_spans,) = embedder.embed_with_spans(["Salt.\u200b"], [[(5, 6)]])
    assert of_spans[0] == pytest.approx(vectors[0], abs=1e-6)


def test_no_texts_give_no_vectors(embedder):
    vectors, of_spans = embedder.embed_with_spans([], [])
    assert (vectors.shape, of_spans) == ((0, 384), [])


def test_with_another_pooling_a_span_is_embedded_alone(folder, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    transformer = Transformer(str(folder))
    model = SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")],
        device="cpu",
    )
    model.save(str(tmp_path / "cls"))
    embedder = SentenceTransformerEmbedder(tmp_path / "cls")
    vectors, (of_spans, none) = embedder.embed_with_spans([TEXT, "Salt."], [SPANS, []])
    sentences = [TEXT[start:end] for start, end in SPANS]
    assert vectors == pytest.approx(embedder.embed([TEXT, "Salt."]))
    assert of_spans == pytest.approx(embedder.embed(sentences), abs=1e-6)
    assert none.shape == (0, 384)


def predicted(cross_encoder: Path, question: str, texts: list[str]) -> list[float]:
    """What sentence-transformers' own cross-encoder makes of the texts."""
    from sentence_transformers import CrossEncoder
    from torch.nn import Sigmoid

    model = CrossEncoder(str(cross_encoder), activation_fn=Sigmoid())
    return model.predict([(question, text) for text in texts]).tolist()


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("models") / "tiny")


def test_a_reranker_orders_the_passages_by_its_scores_and_adds_none(seed_settings, cross_encoder):
    question = "Who is the Kremlin spokesman?"
    index = seed_settings.index
    plain = rag.search(question, k=20, index=index)
    found = rag.search(question, k=3, index=index, reranker=cross_encoder)
    scores = predicted(cross_encoder, question, [passage.text for passage in found])
    assert {passage.source for passage in found} <= {passage.source for passage in plain}
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    assert [passage.score for passage in found] == pytest.approx(scores, abs=0.05)
    assert {passage.dense for passage in found} <= {passage.dense for passage in plain}


def test_a_reranker_scores_each_text(cross_encoder):
    reranker = CrossEncoderReranker(cross_encoder)
    expected = predicted(cross_encoder, "war?", ["War.", "Salt."])
    assert reranker.scores("war?", ["War.", "Salt."]) == pytest.approx(expected, abs=1e-6)
    assert reranker.scores("war?", []) == []


def test_a_model_with_two_scores_is_no_reranker(tmp_path):
    folder = tiny_cross_encoder(tmp_path / "two", scores=2)
    with pytest.raises(ModelError) as raised:
        CrossEncoderReranker(folder)
    assert str(raised.value) == f"{folder} gives 2 scores a passage; a reranker gives 1."


@pytest.mark.parametrize("damage", ["absent", "no weights", "no head"])
def test_a_missing_reranker_is_reported(tmp_path, damage, seed_settings, folder, cross_encoder):
    model = tmp_path / "model"
    if damage == "no weights":
        model.mkdir()
        (model / "config.json").write_text((cross_encoder / "config.json").read_text())
    elif damage == "no head":
        model = folder
    with pytest.raises(ModelError) as raised:
        rag.search("war", index=seed_settings.index, reranker=model)
    assert str(raised.value) == (
        f"There is no reranker at {model}: it needs model.safetensors, its tokenizer, and the config.json "
        "of a cross-encoder, as sentence-transformers saves them. Name such a folder, hf:owner/repo, or none."
    )


def test_a_damaged_reranker_is_reported(cross_encoder, tmp_path):
    for file in cross_encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is not a cross-encoder that sentence-transformers can load"):
        CrossEncoderReranker(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no head", " is damaged: its weights lack the part that scores. Name another."),
        ("no numbers", " is damaged: its scores are not numbers. Name another."),
    ],
)
def test_weights_that_cannot_score_are_reported(cross_encoder, tmp_path, damage, message):
    import torch
    from safetensors.torch import load_file, save_file

    for file in cross_encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    head = [name for name in weights if name.startswith("classifier")]
    assert head == ["classifier.bias", "classifier.weight"]
    for name in head:
        if damage == "no head":
            del weights[name]
        else:
            weights[name] = torch.full_like(weights[name], torch.nan)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as raised:
        CrossEncoderReranker(tmp_path).scores("war?", ["War."])
    assert str(raised.value) == f"{tmp_path}{message}"


def test_a_reranker_without_its_tokenizer_is_reported(cross_encoder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((cross_encoder / name).read_bytes())
    with pytest.raises(ModelError, match="There is no reranker at "):
        find_reranker(str(tmp_path), download)


def test_weights_of_half_precision_embed(folder, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu").bfloat16()
    model.save(str(tmp_path / "half"))
    half, whole = SentenceTransformerEmbedder(tmp_path / "half"), SentenceTransformerEmbedder(folder)
    vectors, (of_spans,) = half.embed_with_spans([TEXT], [SPANS])
    expected, (expected_of_spans,) = whole.embed_with_spans([TEXT], [SPANS])
    assert vectors == pytest.approx(expected, abs=0.01)
    assert of_spans == pytest.approx(expected_of_spans, abs=0.01)


def test_no_reranker_is_the_default(monkeypatch):
    monkeypatch.delenv("RAG_RERANKER", raising=False)
    assert settings.resolve().reranker == "none"
    assert find_reranker("none", download) is None
    monkeypatch.setenv("RAG_RERANKER", "models/tiny")
    assert settings.resolve().reranker == "models/tiny"
