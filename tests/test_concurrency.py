"""Readers ask without a pause while a writer adds and removes documents."""

import multiprocessing
import time
from pathlib import Path

import pytest

from rag.index import Index
from rag.retrieval import Retriever
from tests.conftest import WordEmbedder
from tests.test_indexing import IDENTITY, Folders

READERS = 8
BUILDS = 40


def read(place: Path, stop, queue) -> None:
    """Ask until told to stop; put each (when the question began, the sources that answered)."""
    found = []
    try:
        retriever = Retriever(Index(Folders(place).index, IDENTITY), WordEmbedder())
        while not stop.is_set():
            began = time.monotonic()
            retrieval = retriever.retrieve("war and peace", 10)
            for passage in retrieval.passages:
                # Its text says which document it is of: nothing is half true.
                assert passage.text.endswith(f"in {passage.source}."), passage
            found.append((began, [passage.source for passage in retrieval.passages]))
    except Exception as error:  # noqa: BLE001  whatever it is, the test tells of it
        queue.put((found, repr(error)))
    else:
        queue.put((found, None))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_readers_see_no_error_and_no_document_that_was_removed_before_they_asked(tmp_path):
    folders = Folders(tmp_path)
    folders.write({f"{number}.txt": f"War and peace in {number}.txt." for number in range(5)})
    folders.build()
    context = multiprocessing.get_context("fork")
    stop, queue = context.Event(), context.Queue()
    readers = [context.Process(target=read, args=(tmp_path, stop, queue)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    removed: dict[str, float] = {}
    for number in range(BUILDS):
        source = f"{number % 5}.txt"
        path = folders.documents / source
        if path.exists():
            path.unlink()
            folders.build()
            removed[source] = time.monotonic()
            # Under a name of its own, so that what answers tells which of the two it is.
            folders.write({f"new{number}.txt": f"War and peace in new{number}.txt."})
        else:
            oldest = min(folders.documents.glob("new*.txt"), key=lambda found: int(found.stem[3:]))
            oldest.unlink()
            folders.build()
            removed[oldest.name] = time.monotonic()
            folders.write({f"new{number}.txt": f"War and peace in new{number}.txt."})
    stop.set()
    results = [queue.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(60)
    assert [error for _, error in results if error] == []
    asked = [question for questions, _ in results for question in questions]
    assert all(questions for questions, _ in results)
    late = [
        (source, began)
        for began, sources in asked
        for source in sources
        if removed.get(source, float("inf")) < began
    ]
    assert late == []
