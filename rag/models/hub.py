"""Fetching model files from a model hub, once: the only module that imports huggingface_hub."""

from fnmatch import fnmatch
from pathlib import Path

from rag.errors import ModelError

_UNUSED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack"]
"""The same weights in other formats, which many repositories hold beside the one used here."""


def download(repository: str, pattern: str) -> Path:
    """The local folder with the files of `repository` that match `pattern`.

    What an earlier run fetched is used without a look at the network; else it is fetched with a
    progress bar on stderr. `ModelError` when the hub can't be reached or doesn't have it.
    """
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                repository, allow_patterns=pattern, ignore_patterns=_UNUSED, local_files_only=True
            )
        )
        if any(fnmatch(file.relative_to(folder).as_posix(), pattern) for file in folder.rglob("*")):
            return folder
    except LocalEntryNotFoundError:
        pass  # not here yet: fetched below
    except HFValidationError as error:
        raise ModelError(f"{repository} is not a repository name ({error}). Write hf:owner/repo.") from error
    try:
        return Path(snapshot_download(repository, allow_patterns=pattern, ignore_patterns=_UNUSED))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        # A timeout may have no words of its own.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(
            f"Can't download {repository} ({pattern}): {reason}. Check the name and "
            "the network, or use the embedded model"
        ) from error


def downloaded() -> list[str]:
    """The repositories that earlier runs fetched, as model names."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return sorted(f"hf:{repo.repo_id}" for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except CacheNotFound:
        return []
