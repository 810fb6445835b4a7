"""Files of a model hub → a local folder, downloaded once: the only module that imports huggingface_hub."""

import functools
from fnmatch import fnmatch
from pathlib import Path

from rag.errors import ModelError

_UNUSED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack"]
"""The same weights in formats that are not used here."""


def download(repository: str, pattern: str) -> Path:
    """The local folder with the files of `repository` that match `pattern`.

    Files of an earlier download are used without the network; others are downloaded with a progress bar
    on stderr. `ModelError` when the hub can't be reached or doesn't have them.
    """
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    fetch = functools.partial(snapshot_download, repository, allow_patterns=pattern, ignore_patterns=_UNUSED)
    try:
        folder = Path(fetch(local_files_only=True))
        if any(fnmatch(file.relative_to(folder).as_posix(), pattern) for file in folder.rglob("*")):
            return folder
    except LocalEntryNotFoundError:
        pass  # not downloaded yet
    except HFValidationError as error:
        raise ModelError(f"{repository} is not a repository name ({error}). Write hf:owner/repo.") from error
    try:
        return Path(fetch())
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        # A timeout may have no message.
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(
            f"Can't download {repository} ({pattern}): {reason}. Check the name and "
            "the network, or use the embedded model"
        ) from error


def downloaded() -> list[str]:
    """The repositories that earlier runs downloaded, as model names."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return sorted(f"hf:{repo.repo_id}" for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except CacheNotFound:
        return []
