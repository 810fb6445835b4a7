"""Readers ask without a pause while a writer adds and removes documents."""

import json
import subprocess
import sys
import time

import pytest

from tests.support import PATIENCE_S, ROOT
from tests.support.folders import Folders

pytestmark = pytest.mark.slow

READERS = 8
BUILDS = 40
READER = """
import json, sys, time
from pathlib import Path
from rag.index.disk.index import DiskIndex
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from tests.support.fakes import WordEmbedder
from tests.support.folders import IDENTITY

place = Path(sys.argv[1])
retriever = Retriever(DiskIndex(place / "index", IDENTITY), WordEmbedder())
print("ready", flush=True)
asked = []
while not (place / "stop").exists():
    began = time.monotonic()
    passages = retriever.retrieve(analyse("war and peace"), 10).passages
    # Its text says which document it is of: nothing is half true.
    assert all(passage.text.endswith(f"in {passage.source}.") for passage in passages), passages
    asked.append([began, [passage.source for passage in passages]])
print(json.dumps(asked))
"""


def test_readers_see_no_error_and_no_document_that_was_removed_before_they_asked(tmp_path):
    folders = Folders(tmp_path)
    sources = [f"{number}.txt" for number in range(5)]
    folders.write({source: f"War and peace in {source}." for source in sources})
    folders.build()
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(READERS)
    ]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * READERS
    removed: dict[str, float] = {}
    for number in range(BUILDS):
        # A name is never used again, so that it tells whether what answers was removed.
        new, old = f"new{number}.txt", sources.pop(0)
        folders.write({new: f"War and peace in {new}."})
        (folders.documents / old).unlink()
        folders.build()
        removed[old] = time.monotonic()
        sources.append(new)
    (tmp_path / "stop").touch()
    outputs = [reader.communicate(timeout=PATIENCE_S)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * READERS
    for output in outputs:
        asked = json.loads(output)
        assert asked
        assert {len(found) for _, found in asked} == {5}
        late = [source for began, found in asked for source in found if removed.get(source, began) < began]
        assert late == []
