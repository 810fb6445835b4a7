import os
import select
import signal
import subprocess
import sys

import docx
import pytest

from rag.documents import sandbox
from rag.documents.parsers import Extract
from rag.documents.sandbox import Sandbox
from rag.errors import UnreadableError
from rag.types import Block
from tests.support import ROOT
from tests.support.files import BOMB, packed, pdf, word

WAR = pdf("War")
READ = Extract("War", pages=(0,), blocks=(Block("paragraph", 0, 3),))
BUSY = pdf(packed(b"q Q " * (1 << 18), 500), filters="/FlateDecode")
"""Half a gigabyte of drawing that draws nothing, which takes many seconds."""

GREEDY = b"From: a@b\n\n" + "🌱".encode() * 5_000_000


@pytest.fixture
def started(monkeypatch) -> list["subprocess.Popen[bytes]"]:
    """The processes that are started, in order."""
    processes = []
    start = sandbox._start

    def recorded() -> "subprocess.Popen[bytes]":
        processes.append(start())
        return processes[-1]

    monkeypatch.setattr(sandbox, "_start", recorded)
    return processes


def reason(documents: Sandbox, content: bytes, kind: str = ".pdf") -> str:
    with pytest.raises(UnreadableError) as raised:
        documents.extract(content, kind)
    return str(raised.value)


def test_each_kind_is_read_by_one_process(started):
    document = docx.Document()
    document.add_paragraph("Bread")
    with Sandbox() as documents:
        assert started == []
        assert documents.extract(pdf("War", "Peace", about="/Title (On war)"), ".pdf") == Extract(
            "War\n\nPeace",
            title="On war",
            pages=(0, 5),
            blocks=(Block("paragraph", 0, 3), Block("paragraph", 5, 10)),
        )
        assert documents.extract(word(document), ".docx") == Extract(
            "Bread", blocks=(Block("paragraph", 0, 5),)
        )
        assert documents.extract("<p>Größe 🌱".encode(), ".html") == Extract(
            "Größe 🌱", blocks=(Block("paragraph", 0, 7),)
        )
        assert documents.extract(b"<p>Salt", ".htm") == Extract("Salt", blocks=(Block("paragraph", 0, 4),))
        mail = documents.extract('Subject: River\n\n"\u2028"'.encode(), ".eml")
        assert (mail.text, mail.title) == ('Subject: River\n\n"\u2028"', "River")
        assert mail.blocks[0] == Block("metadata", 0, 14)
    assert len(started) == 1
    assert started[0].returncode is not None


def test_a_bad_document_does_not_end_the_process(started):
    with Sandbox() as documents:
        assert reason(documents, b"War", ".docx") == (
            "is not a Word document that can be read: File is not a zip file"
        )
        assert reason(documents, b"<!-- War -->", ".html") == "has no text"
        nested = b"Subject: a\nContent-Type: message/rfc822\n\n" * 2000
        assert reason(documents, nested, ".eml") == "is nested too deep to be read"
        too_long = b"From: a@b\n\n" + b"x" * 10_000_000
        assert reason(documents, too_long, ".eml") == (
            "has 10,000,011 characters, more than the 10,000,000 that are read; split it"
        )
        assert documents.extract(WAR, ".pdf") == READ
    assert len(started) == 1


def test_a_document_that_takes_too_long_is_a_failure(started, monkeypatch):
    monkeypatch.setattr(sandbox, "TIMEOUT_S", 1.5)
    with Sandbox() as documents:
        assert reason(documents, BUSY) == "took longer than 1.5 s to read"
        monkeypatch.setattr(sandbox, "TIMEOUT_S", 60.0)
        assert documents.extract(WAR, ".pdf") == READ
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
@pytest.mark.parametrize("content", [WAR, bytes(1 << 20)], ids=["a reply", "room in the pipe"])
def test_a_stopped_process_is_not_waited_for(started, monkeypatch, content):
    with Sandbox() as documents:
        assert documents.extract(WAR, ".pdf") == READ
        os.kill(started[0].pid, signal.SIGSTOP)
        monkeypatch.setattr(sandbox, "TIMEOUT_S", 0.3)
        assert reason(documents, content) == "took longer than 0.3 s to read"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
def test_a_document_that_needs_too_much_memory_is_a_failure(started, monkeypatch):
    monkeypatch.setattr(sandbox, "MAX_MEMORY_BYTES", 1 << 27)
    with Sandbox() as documents:
        assert reason(documents, GREEDY, ".eml") == "needs more than 0.125 GiB to read"
        assert reason(documents, BOMB) == "can't be read: it crashes the program that reads it"
        assert documents.extract(WAR, ".pdf") == READ
    assert len(started) == 3


def test_a_process_that_ended_by_itself_does_not_fail_the_next_document(started):
    with Sandbox() as documents:
        assert documents.extract(WAR, ".pdf") == READ
        started[0].kill()
        started[0].wait()
        assert documents.extract(WAR, ".pdf") == READ
    assert len(started) == 2


LIBRARY = """
import os, sys
print("noise")
os.write(1, b"{}\\n")
sys.stderr.write("noise")
def Document(content):
    raise ValueError("a library\\nthat talks.")
"""


def test_library_output_is_not_taken_for_a_reply(tmp_path, monkeypatch):
    (tmp_path / "docx.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    with Sandbox() as documents:
        assert reason(documents, word(docx.Document()), ".docx") == (
            "is not a Word document that can be read: a library"
        )


@pytest.mark.parametrize("source", ["json.py", "rag.py", "pypdfium2.py"])
def test_modules_are_not_imported_from_the_working_folder(tmp_path, monkeypatch, source):
    (tmp_path / source).write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with Sandbox() as documents:
        assert documents.extract(WAR, ".pdf") == READ


def test_a_program_that_found_the_package_in_its_working_folder_may_leave_it(tmp_path):
    code = (
        "import os, sys; from tests.support.files import pdf; from rag.documents.sandbox import Sandbox\n"
        f"assert sys.path[0] == ''; os.chdir({str(tmp_path)!r})\n"
        "with Sandbox() as documents: print(documents.extract(pdf('War'), '.pdf').text)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "War\n"


ORPHANED = """
import sys
from rag.documents import sandbox
from tests.documents.test_sandbox import BUSY, WAR
sandbox.TIMEOUT_S = 0.5  # of which the process has twice as much
documents = sandbox.Sandbox()
process = documents._running()
print(process.pid, flush=True)
sandbox.TIMEOUT_S = 60.0
if sys.argv[1] == "busy":
    process.stdin.write(b'{"kind": ".pdf", "length": %d}\\n' % len(BUSY) + BUSY)
    process.stdin.flush()
else:
    documents.extract(WAR, ".pdf")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no other way to see an orphan's end")
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_process_ends_when_its_parent_is_killed(state):
    command = [sys.executable, "-c", ORPHANED, state]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        orphan = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert parent.stdout.readline() == "ready\n"
            assert select.select([orphan], [], [], 0) == ([], [], [])
            parent.kill()
            # The busy one would go on for longer.
            assert select.select([orphan], [], [], 8) == ([orphan], [], [])
        finally:
            os.close(orphan)
