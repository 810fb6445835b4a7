"""A documents folder → a sign whenever something in it has changed, and it is quiet again."""

import threading
from collections.abc import Iterator
from pathlib import Path

_BURST_MS = 5_000
_QUIET_MS = 300
"""A burst of changes is one: it ends when nothing changes for so long, or after `_BURST_MS`."""

_LOOK_MS = 2_000
"""How often it is looked at whether the folder is still the same one."""


def changes(folder: Path, *, apart_from: Path, stop: threading.Event) -> Iterator[None]:
    """Something changed in the folder, but in hidden files and in `apart_from`, until `stop` is set.

    It is said at the beginning too, once the folder is watched: something may have changed before. A folder
    that is removed and made again is watched again.
    """
    from watchfiles import watch

    apart = apart_from.resolve()

    def concerns(_: object, name: str) -> bool:
        path = Path(name)
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        return not path.is_relative_to(apart) and not any(part.startswith(".") for part in inside.parts)

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
            if found or not began or _identity(folder) != watched:
                began = True
                yield
            if _identity(folder) != watched:
                break


def _identity(folder: Path) -> tuple[int, int] | None:
    """What makes the folder this one; None while it isn't there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
