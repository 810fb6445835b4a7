"""A documents folder → a sign whenever something in it has changed, and it is quiet again."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rag.documents.folder import READABLE

_BURST_MS = 5_000
_QUIET_MS = 300
"""A burst of changes is one: it ends when nothing changes for so long, or after `_BURST_MS`."""

_LOOK_MS = 2_000
"""How often it is looked at whether the folder is still the same one."""


def changes(
    folder: Path,
    *,
    index: Path | None,
    stop: threading.Event,
    due: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """A document may have changed in the folder; told of until `stop` is set.

    Hidden files, those of other kinds and those of the index are passed over. It is told of at the beginning
    too, once the folder is watched: something may have changed before. While `due` is true, as after a build
    that couldn't be made, it is told of every two seconds. A folder that is removed and made again is watched
    again.
    """
    from watchfiles import Change, watch

    of_index = set() if index is None else {index.absolute(), index.resolve()}

    def concerns(_: object, name: str) -> bool:
        path = Path(name)
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        if any(part.startswith(".") for part in inside.parts):
            return False
        if path == root or path.suffix.lower() in READABLE:
            return True
        return path.parent not in of_index and not path.is_file()  # a folder, or something that is gone

    while not stop.is_set():
        watched = _identity(folder)
        root = folder.resolve()
        if watched is None:
            stop.wait(_LOOK_MS / 1000)
            continue
        began = False
        for found in watch(
            root,
            watch_filter=concerns,
            debounce=_BURST_MS,
            step=_QUIET_MS,
            stop_event=stop,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            # A folder that is made again may have the number of the one that was removed.
            gone = (Change.deleted, str(root)) in found or _identity(folder) != watched
            if found or not began or due() or gone:
                began = True
                yield
            if gone:
                break


def _identity(folder: Path) -> tuple[int, int] | None:
    """What makes the folder this one; None while it isn't there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
