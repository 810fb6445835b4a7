"""A folder of files that are broken or meant to do harm: each is indexed, or named with the reason."""

import codecs
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rag.index.disk import store
from tests.support import PATIENCE_S, ROOT
from tests.support.files import BOMB, pdf, word_of

pytestmark = pytest.mark.slow

WAR = b"War and bread."
BINARY = "is binary, not text"
NO_PDF = "is not a PDF that can be read: it is damaged or has no page"
NOT_REGULAR = "is not a regular file"
TOO_DEEP = "is nested too deep to be read"

ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<!DOCTYPE x [<!ENTITY e0 "War">{ENTITIES}]>'
PARTS = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number) for number in range(2000)
)

FILES: dict[str, tuple[bytes, str | None]] = {
    # Text
    "empty.txt": (b"", "is empty"),
    "blank.txt": (b" \r\n\t\x0c\n", "is empty"),
    "mark.txt": (codecs.BOM_UTF8, "is empty"),
    "binary.txt": (bytes(range(256)) * 40, BINARY),
    "nul.txt": (b"War\0 and bread.", BINARY),
    "controls.txt": (b"\x01War\x02 and\x03 bread\x04.", BINARY),
    "surrogate.txt": (
        "déjà \ud800 été à".encode("utf-8", "surrogatepass"),
        "is not UTF-8 text (byte 7); save it as UTF-8",
    ),
    "cut off.md": ("déjà été à".encode()[:-1], "is not UTF-8 text (byte 13); save it as UTF-8"),
    "half of a pair.txt": (b"\xff\xfe\x3d\xd8a\0", "is not UTF-16 text (byte 0); save it as UTF-8"),
    "dos.txt": (
        "Für die Straße".encode("cp850"),
        "is in an encoding that can't be detected; save it as UTF-8",
    ),
    "line.txt": (
        b"x" * 50_000_000,
        "has 50,000,000 characters, more than the 10,000,000 that are read; split it",
    ),
    "utf-16.txt": ("War – 🌱".encode("utf-16"), None),
    "utf-16 without a mark.txt": ("War and bread.".encode("utf-16-be"), None),
    "latin-1.txt": ("Café Zürich, naïve façade".encode("latin-1"), None),
    "bidi.txt": ("\u202eraW\u202c \u2066and\u2069 bre\u200bad.\U000e0041".encode(), None),
    "escapes.txt": (b"\x1b[2J\x1b[31mWar\x07 and bread, bread, bread.", None),
    "front.md": (b"---\n" * 2000 + b"title: " + b" " * 20_000 + b"War", None),
    # PDF
    "empty.pdf": (b"", "is empty"),
    "broken.pdf": (b"%PDF-1.7\n" + bytes(range(256)), NO_PDF),
    "truncated.pdf": (pdf("War and bread.", "Peace")[:600], NO_PDF),
    "page.pdf": (b"<html><p>War and bread.", NO_PDF),
    "encrypted.pdf": (pdf("War", locked=True), "is encrypted; save it without a password"),
    "scanned.pdf": (pdf("", ""), "has no text; a scanned document needs OCR first"),
    "bomb.pdf": (BOMB, "can't be read: it crashes the program that reads it"),
    "circle.pdf": (
        pdf("War").replace(b"/Kids [7 0 R]", b"/Kids [2 0 R]"),
        "is not a PDF that can be read: Failed to load page",
    ),
    "brackets.pdf": (pdf("War", about=f"/Title {'[' * 100_000}"), None),
    # Word
    "no zip.docx": (WAR, "is not a Word document that can be read: File is not a zip file"),
    "encrypted.docx": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
        "is encrypted, or a .doc; save it as .docx without a password",
    ),
    "nested.docx": (
        word_of("<w:sdt>" * 1000 + "</w:sdt>" * 1000),
        "is not a Word document that can be read: Excessive depth in document: 256",
    ),
    "entities.docx": (
        word_of("<w:p><w:r><w:t>&e9;</w:t></w:r></w:p>", before=LAUGHS),
        "is not a Word document that can be read: Maximum entity amplification factor exceeded",
    ),
    "bomb.docx": (word_of("", more={"zeros": bytes(200_000_001)}), "unpacks to 200,"),
    "outside.docx": (
        word_of(
            "<w:p><w:r><w:t>&secret;</w:t></w:r></w:p>",
            before='<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        ),
        "has no text",
    ),
    # Web pages
    "deep.html": (b"<div>" * 100_000 + WAR + b"</div>" * 100_000, TOO_DEEP),
    "scripts.html": (b"<script>war()</script><style>p {}</style><!-- War -->", "has no text"),
    "image.html": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), BINARY),
    "entities.html": (f"{LAUGHS}<p>&e9; War".encode(), None),
    "remote.html": (
        b"<p>War<script src='http://127.0.0.1:9/x.js'></script><img src='file:///etc/passwd'>",
        None,
    ),
    "cases.HTM": (b"<P>War<p>and<TABLE><td>bread", None),
    # E-mail
    "no mail.eml": (WAR, "is not an e-mail: it has no subject, sender, receiver or date"),
    "chain.eml": (b"Subject: War\nContent-Type: message/rfc822\n\n" * 2000, TOO_DEEP),
    "parts.eml": (b"Subject: War\n" + PARTS, TOO_DEEP),
    "malformed.eml": (b'From: "<((@\xff\nDate: 99\nTo: =?\nContent-Type: ;;;\nSubject\n\nWar', None),
    "charset.eml": (b"From: a@b\nContent-Type: text/plain; charset=\xff\n\nWar", None),
    # Names
    "new\nline.txt": (WAR, None),
    'it\'s "quoted".txt': (WAR, None),
    "emoji 🌱.txt": (WAR, None),
    "-rf.txt": (WAR, None),
    " spaces .txt": (WAR, None),
    "n" * 251 + ".txt": (WAR, None),
    "UPPER.TXT": (WAR, None),
    "folder.txt/inside.txt": (WAR, None),
    "d/" * 60 + "deep.txt": (WAR, None),
}
TEXTS = {
    "utf-16.txt": "War – 🌱",
    "utf-16 without a mark.txt": "War and bread.",
    "latin-1.txt": "Café Zürich, naïve façade",
    "brackets.pdf": "War",
    "entities.html": "]>\n\n&e9; War",
    "remote.html": "War",
    "cases.HTM": "War\n\nand\n\nbread",
    "malformed.eml": 'From: "<((@ÿ\nTo: =?\nDate: 99\n\nSubject\n\nWar',
    "charset.eml": "From: a@b\n\nWar",
}
PASSED_OVER = (".hidden.txt", ".hidden/a.txt", "no suffix", "image.png")


def links_and_no_files(folder: Path, outside: Path) -> dict[str, str]:
    """Make what stands among files and is none, or isn't in the folder; the reasons of what is named."""
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"secret")
    (folder / "out.txt").symlink_to(outside / "secret.txt")
    (folder / "out").symlink_to(outside)
    (folder / "out folder.txt").symlink_to(outside)
    (folder / "up").symlink_to(folder)
    (folder / "dangling.txt").symlink_to("none.txt")
    (folder / "itself.txt").symlink_to("itself.txt")
    (folder / "ping.txt").symlink_to("pong.txt")
    (folder / "pong.txt").symlink_to("ping.txt")
    os.mkfifo(folder / "pipe.txt")
    os.mkfifo(folder / "pipe.pdf")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.txt")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_bytes(WAR)
    with (folder / "large.txt").open("wb") as stream:
        stream.truncate(100_000_001)
    named = ("dangling.txt", "itself.txt", "ping.txt", "pong.txt", "pipe.txt", "pipe.pdf", "socket.txt")
    return {
        **dict.fromkeys(named, NOT_REGULAR),
        "caf?.txt": "has a name that is not valid text; rename it",
        "large.txt": "is larger than 100 MB; split it",
    }


BUILD = r"""
import json, re, resource, sys
from dataclasses import asdict
from pathlib import Path
from tests.support.folders import Folders
report = Folders(Path(sys.argv[1])).build()
# Not ru_maxrss of this process: it counts what the process that started it had taken until then.
building = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
reading = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({**asdict(report), "used": [building, reading]}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="made of what other systems don't have")
def test_the_readable_part_of_a_hostile_folder_is_indexed(tmp_path, monkeypatch):
    folder = tmp_path / "docs"
    contents = {source: content for source, (content, _) in FILES.items()}
    for source, content in (contents | dict.fromkeys(PASSED_OVER, WAR)).items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_bytes(content)
    monkeypatch.chdir(folder)
    reasons = {source: reason for source, (_, reason) in FILES.items() if reason is not None}
    reasons |= links_and_no_files(folder, tmp_path / "outside")
    added = {source for source, (_, reason) in FILES.items() if reason is None}
    (folder / "locked.txt").write_bytes(WAR)
    (folder / "locked.txt").chmod(0)
    if os.access(folder / "locked.txt", os.R_OK):  # as root
        added.add("locked.txt")
    else:
        reasons["locked.txt"] = "can't be read: Permission denied"

    ran = subprocess.run(
        [sys.executable, "-c", BUILD, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    report = json.loads(ran.stdout)
    failed = {failure["source"]: failure["reason"] for failure in report["failed"]}
    assert set(report["added"]) == added
    assert {source: failed[source][: len(reason)] for source, reason in reasons.items()} == reasons
    assert failed.keys() == reasons.keys()
    assert report["failed"] == sorted(report["failed"], key=lambda failure: failure["source"])
    with store.reading(tmp_path / "index") as snapshot:
        assert {source: snapshot.text(snapshot.document(source)) for source in TEXTS} == TEXTS
        assert snapshot.keyword_search(["secret", "root"], 10) == []
    building, reading = report["used"]
    assert building < 1.5 * 1024**2  # KiB
    assert reading < 2 * 1024**2
