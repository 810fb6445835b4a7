import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import IndexFileError
from rag.evaluation.datasets import Question, read_questions
from rag.index.disk.backend import DiskBackend
from rag.interfaces.feedback import rate
from rag.types import Answer, Citation
from tests.support import ROOT
from tests.support.folders import TEXTS, Folders

QUOTED = Answer(
    question="What came?",
    text="“War and war and bread.” [1]\n“Salt, bread and the river.” [2]\n“bread” [1]",
    short=None,
    citations=(
        Citation(1, "a.txt", 0, 22, "War and war and bread."),
        Citation(2, "c.txt", 0, 26, "Salt, bread and the river."),
        Citation(1, "a.txt", 16, 21, "bread"),
    ),
    passages=(),
    abstained=None,
    model="queued",
    timings={},
    confidence=0.9,
)
REFUSED = Answer("Who won?", "The documents don't say.", None, (), (), "it is off topic", "queued", {}, 0.1)


def lines(index: Path) -> list[dict]:
    return [json.loads(line) for line in (index / "feedback.jsonl").read_bytes().splitlines()]


def test_each_rating_is_a_line_that_says_what_was_right(tmp_path):
    rate(DiskBackend(tmp_path), QUOTED, "up")
    rate(DiskBackend(tmp_path), replace(QUOTED, short="bread", taken_as="War? What came?"), "up")
    rate(DiskBackend(tmp_path), QUOTED, "down")
    rate(DiskBackend(tmp_path), QUOTED, None)
    rate(DiskBackend(tmp_path), REFUSED, "up")
    sources = ["a.txt", "c.txt"]
    quotes = ["War and war and bread.", "Salt, bread and the river.", "bread"]
    said = {"question": "What came?", "text": QUOTED.text}
    assert lines(tmp_path) == [
        {**said, "rating": "up", "answers": quotes, "sources": sources},
        {**said, "question": "War? What came?", "rating": "up", "answers": ["bread"], "sources": sources},
        {**said, "rating": "down"},
        {**said, "rating": None},
        {"question": "Who won?", "rating": "up", "text": REFUSED.text, "answers": [], "sources": []},
    ]


def test_an_evaluation_asks_what_was_rated(tmp_path):
    folders = Folders(tmp_path)
    folders.write(TEXTS)
    folders.build()
    odd = "Was \u2028 \udc80 it é\n?"
    rate(DiskBackend(folders.index), QUOTED, "down")
    rate(DiskBackend(folders.index), replace(QUOTED, short="bread"), "up")
    rate(DiskBackend(folders.index), REFUSED, "up")
    rate(DiskBackend(folders.index), replace(REFUSED, question=odd), "down")
    rate(DiskBackend(folders.index), replace(REFUSED, question="Taken back?"), "up")
    rate(DiskBackend(folders.index), replace(REFUSED, question="Taken back?"), None)
    found = read_questions(str(folders.index / "feedback.jsonl"), folders.documents)
    assert found.own
    assert found.questions == (
        Question("What came?", answers=("bread",), sources=frozenset({"a.txt", "c.txt"}), answerable=True),
        Question("Who won?", answerable=False),
        Question(odd),
    )


def test_builds_and_the_doctor_leave_the_ratings_alone(tmp_path):
    folders = Folders(tmp_path)
    folders.write(TEXTS)
    folders.build()
    rate(DiskBackend(folders.index), QUOTED, "up")
    content = (folders.index / "feedback.jsonl").read_bytes()
    folders.write({"a.txt": "War."})
    assert folders.build().changed == ("a.txt",)
    folders.build(rebuild=True)
    folders.repair()
    found = folders.examine()
    assert (found.well, found.faults, found.notes) == (True, (), ())
    assert (folders.index / "feedback.jsonl").read_bytes() == content


def test_lines_of_threads_and_processes_do_not_mix(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom dataclasses import replace\n"
        "from rag.index.disk.backend import DiskBackend\n"
        "from rag.interfaces.feedback import rate\nfrom tests.interfaces.test_feedback import REFUSED\n"
        "for number in range(100):\n"
        "    text = f'{sys.argv[2]}-{number} ' + 'x' * 5000\n"
        "    rate(DiskBackend(Path(sys.argv[1])), replace(REFUSED, text=text), 'down')\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path, "process"], cwd=ROOT)

    def several(name: str) -> None:
        for number in range(100):
            rate(DiskBackend(tmp_path), replace(REFUSED, text=f"{name}-{number} " + "x" * 5000), "down")

    threads = [threading.Thread(target=several, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait() == 0
    written = sorted(line["text"].split()[0] for line in lines(tmp_path))
    names = ["process", *(f"thread{n}" for n in range(4))]
    assert written == sorted(f"{name}-{number}" for name in names for number in range(100))


def test_a_rating_that_can_not_be_written_is_told_of(tmp_path):
    with pytest.raises(IndexFileError, match=r"feedback\.jsonl can't be written: .*\. Check its disk space"):
        rate(DiskBackend(tmp_path / "none"), QUOTED, "up")
