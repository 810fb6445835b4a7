"""The real watcher on real folders."""

import shutil
import threading
from pathlib import Path

import pytest

from rag.documents.watcher import changes


class Watched:
    """A folder that is watched in a thread, and how often a change was told of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told, self.due, self.stop = folder, 0, False, threading.Event()
        self.heard = threading.Condition()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        for _ in changes(self.folder, index=self.folder / "index", stop=self.stop, due=lambda: self.due):
            with self.heard:
                self.told += 1
                self.heard.notify_all()

    def hears(self, count: int, within_s: float = 20) -> bool:
        with self.heard:
            return self.heard.wait_for(lambda: self.told >= count, within_s)


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    found = Watched(folder)
    try:
        assert found.hears(1)  # it has begun
        yield found
    finally:
        found.stop.set()
        found.thread.join(20)
    assert not found.thread.is_alive()


def test_a_burst_of_changes_is_told_of_once(watched):
    before = watched.told
    for number in range(50):
        (watched.folder / f"{number}.txt").write_text("x", "utf-8")
    assert watched.hears(before + 1)
    assert not watched.hears(before + 2, within_s=2)


def test_hidden_files_other_kinds_and_the_index_are_not_told_of(watched):
    (watched.folder / "index").mkdir()
    while watched.hears(watched.told + 1, within_s=1):
        pass
    before = watched.told
    (watched.folder / ".hidden").write_text("x", "utf-8")
    for name in ("store.db", "writer.json"):
        (watched.folder / "index" / name).write_text("x", "utf-8")
    (watched.folder / "index" / "writer.json").unlink()
    (watched.folder / "log.log").write_text("x", "utf-8")
    assert not watched.hears(before + 1, within_s=2)
    (watched.folder / "first.txt").write_text("x", "utf-8")
    assert watched.hears(before + 1)


def test_a_folder_that_is_made_again_is_watched_again(watched):
    shutil.rmtree(watched.folder)
    assert watched.hears(2)
    watched.folder.mkdir()
    assert watched.hears(3)
    (watched.folder / "new.txt").write_text("x", "utf-8")
    assert watched.hears(4)


def test_what_is_due_is_told_of_again(watched):
    before = watched.told
    watched.due = True
    assert watched.hears(before + 2)
