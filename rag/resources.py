"""Files that the project ships, and files that are written so that a reader never sees half of one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def shipped(name: str) -> Path:
    """The path of `prompts` or `app.py`: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.exists() else package.parent / name


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and is on the disk by then.

    A reader, and a machine that lost power, has the old content or the new. `OSError` when it can't be
    written; the old content stays then.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the folder's own entry on the disk, where the system knows such a thing: Windows doesn't."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
