"""The real watcher on real folders."""

import shutil
import threading
from pathlib import Path

import pytest

from rag.documents.watcher import changes
from tests.support import PATIENCE_S

pytestmark = pytest.mark.slow


class Watched:
    """A folder that is watched in a thread, and the number of events so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.events, self.due, self.stop = folder, 0, False, threading.Event()
        self.condition = threading.Condition()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        for _ in changes(self.folder, index=self.folder / "index", stop=self.stop, due=lambda: self.due):
            with self.condition:
                self.events += 1
                self.condition.notify_all()

    def reaches(self, count: int, within_s: float = PATIENCE_S) -> bool:
        with self.condition:
            return self.condition.wait_for(lambda: self.events >= count, within_s)


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    found = Watched(folder)
    try:
        assert found.reaches(1)  # it is watched
        yield found
    finally:
        found.stop.set()
        found.thread.join(PATIENCE_S)
    assert not found.thread.is_alive()


def test_a_burst_of_changes_is_one_event(watched):
    before = watched.events
    for number in range(50):
        (watched.folder / f"{number}.txt").write_text("x", "utf-8")
    assert watched.reaches(before + 1)
    assert not watched.reaches(before + 2, within_s=2)


def test_hidden_files_other_kinds_and_the_index_are_ignored(watched):
    (watched.folder / "index").mkdir()
    while watched.reaches(watched.events + 1, within_s=1):
        pass
    before = watched.events
    (watched.folder / ".hidden").write_text("x", "utf-8")
    for name in ("store.db", "writer.json"):
        (watched.folder / "index" / name).write_text("x", "utf-8")
    (watched.folder / "index" / "writer.json").unlink()
    (watched.folder / "log.log").write_text("x", "utf-8")
    assert not watched.reaches(before + 1, within_s=2)
    (watched.folder / "first.txt").write_text("x", "utf-8")
    assert watched.reaches(before + 1)


def test_a_folder_that_is_created_again_is_watched_again(watched):
    shutil.rmtree(watched.folder)
    assert watched.reaches(2)
    watched.folder.mkdir()
    assert watched.reaches(3)
    (watched.folder / "new.txt").write_text("x", "utf-8")
    assert watched.reaches(4)


def test_there_are_events_while_a_build_is_due(watched):
    before = watched.events
    watched.due = True
    assert watched.reaches(before + 2)
