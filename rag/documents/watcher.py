"""A documents folder → an event whenever something in it has changed and it is quiet again."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rag.documents.folder import READABLE

_BURST_MS = 5_000
_QUIET_MS = 300
"""A burst of changes is one event: it ends after `_QUIET_MS` without a change, or after `_BURST_MS`."""

_CHECK_MS = 2_000
"""How often it is checked that the folder is still the same one."""


def changes(
    folder: Path, *, index: Path | None, stop: threading.Event, due: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Yield whenever a document in the folder may have changed, until `stop` is set.

    The first yield comes once the folder is watched: something may have changed earlier. While `due` is
    true, as after a failed build, there is one every two seconds. Hidden files, files of other kinds and the
    index's own are ignored. A folder that is removed and created again is watched again.
    """
    from watchfiles import Change, watch

    index_paths = set() if index is None else {index.absolute(), index.resolve()}

    def concerns(_: object, name: str) -> bool:
        path = Path(name)
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        if any(part.startswith(".") for part in inside.parts):
            return False
        if path == root or path.suffix.lower() in READABLE:
            return True
        return path.parent not in index_paths and not path.is_file()  # a folder, or something removed

    while not stop.is_set():
        watched, root = _identity(folder), folder.resolve()
        if watched is None:
            stop.wait(_CHECK_MS / 1000)
            continue
        began = False
        for changed in watch(
            root,
            watch_filter=concerns,
            debounce=_BURST_MS,
            step=_QUIET_MS,
            stop_event=stop,
            rust_timeout=_CHECK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            # A new folder may have the inode number of the one that was removed.
            gone = (Change.deleted, str(root)) in changed or _identity(folder) != watched
            if changed or not began or due() or gone:
                began = True
                yield
            if gone:
                break


def _identity(folder: Path) -> tuple[int, int] | None:
    """The folder's device and inode numbers; None while it doesn't exist."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
