import sys
import threading
from pathlib import Path

import pytest

from rag import wiring
from rag.documents.folder import READABLE
from rag.errors import DocumentsError
from rag.index.disk import store
from rag.indexing.catalog import Listed, add, is_stale, listed, remove
from rag.settings import resolve
from rag.types import Failure
from tests.support.folders import TEXTS, Folders

windows = sys.platform == "win32"


@pytest.fixture
def folders(tmp_path) -> Folders:
    made = Folders(tmp_path)
    made.write(TEXTS)
    return made


def listing(folders: Folders, *failed: Failure) -> tuple[Listed, ...]:
    with store.reading(folders.index) as snapshot:
        return listed(folders.documents, snapshot.documents(), failed)


def everything(place: Path) -> dict[str, bytes | None]:
    """What stands under a folder: the content of each file, None for what is none."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
    }


def test_each_document_has_its_state(folders):
    folders.write({"2016-05-12 news.md": "# War\n\nWar 👩‍👩‍👧\r\n"})
    folders.build()
    folders.write({"a.txt": "Another war.", "empty.txt": "", "new.txt": "Salt."})
    (folders.documents / "b.txt").unlink()
    (folders.documents / "c.zip").write_bytes(b"")
    assert listing(folders, Failure("empty.txt", "is empty"), Failure("c.txt", "is of an earlier build")) == (
        Listed("2016-05-12 news.md", "indexed", title="War", date="2016-05-12", characters=18),
        Listed("a.txt", "changed", characters=22),
        Listed("b.txt", "gone", characters=19),
        Listed("c.txt", "indexed", characters=26),
        Listed("empty.txt", "failed", "is empty"),
        Listed("new.txt", "new"),
    )


def test_a_file_that_is_repaired_and_built_is_no_failure_any_more(folders):
    folders.write({"d.txt": ""})
    (failure,) = folders.build().failed
    assert listing(folders, failure)[-1] == Listed("d.txt", "failed", "is empty")
    (folders.documents / "d.txt").unlink()
    assert [one.source for one in listing(folders, failure)] == ["a.txt", "b.txt", "c.txt"]
    folders.write({"d.txt": "War."})
    folders.build()
    assert listing(folders, failure)[-1] == Listed("d.txt", "indexed", characters=4)


@pytest.mark.skipif(windows, reason="links need a right of their own")
def test_a_file_that_can_not_be_opened_has_failed_whatever_was_indexed(folders):
    folders.build()
    (folders.documents / "a.txt").unlink()
    (folders.documents / "a.txt").symlink_to("a.txt")
    (found, *others) = listing(folders)
    assert found == Listed("a.txt", "failed", "is not a regular file", characters=22)
    assert {one.state for one in others} == {"indexed"}


def test_without_an_index_all_is_new_and_without_a_folder_all_is_gone(folders, tmp_path):
    assert [(one.source, one.state) for one in listed(folders.documents, {})] == [
        ("a.txt", "new"),
        ("b.txt", "new"),
        ("c.txt", "new"),
    ]
    assert listed(tmp_path / "none", {}) == ()
    folders.build()
    for path in folders.documents.iterdir():
        path.unlink()
    (folders.documents / "a.zip").write_bytes(b"")
    gone = [("a.txt", "gone"), ("b.txt", "gone"), ("c.txt", "gone")]
    assert [(one.source, one.state) for one in listing(folders)] == gone
    (folders.documents / "a.zip").unlink()
    folders.documents.rmdir()
    assert [(one.source, one.state) for one in listing(folders)] == gone
    folders.documents.write_text("no folder")
    assert [(one.source, one.state) for one in listing(folders)] == gone


def test_the_documents_of_the_settings_are_listed_with_and_without_an_index(folders):
    settings = resolve(documents=folders.documents, index=folders.index)
    assert {one.state for one in wiring.listed(settings, (Failure("a.txt", "is odd"),))} == {"failed", "new"}
    folders.build()
    assert {one.state for one in wiring.listed(settings)} == {"indexed"}


@pytest.fixture
def upload(tmp_path) -> Path:
    """A file that was uploaded: it stands in a folder of its own, under another name."""
    path = tmp_path / "uploads" / "0"
    path.parent.mkdir()
    path.write_bytes(b"War\r\nand salt.")
    return path


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("notes.txt", "notes.txt"),
        ("Ünïcödé 戦争.MD", "Ünïcödé 戦争.MD"),
        ("u\u0308.txt", "ü.txt"),
        ("-rf.txt", "-rf.txt"),
        ("../../etc/notes.txt", "notes.txt"),
        ("/etc/notes.txt", "notes.txt"),
        ("..\\..\\notes.txt", "notes.txt"),
        ("C:\\Users\\me\\notes.txt", "notes.txt"),
        ("\\\\host\\share\\notes.txt", "notes.txt"),
        ("a/..\\notes.txt", "notes.txt"),
        ("C:notes.txt", "C_notes.txt"),
        (".notes.txt", "notes.txt"),
        ("...  .notes.txt", "notes.txt"),
        ("notes.txt. .", "notes.txt"),
        (" notes.txt\u2003", "notes.txt"),
        ('12:30 <a> "b"|c?*.txt', "12_30 _a_ _b__c__.txt"),
        ("con/notes.txt", "notes.txt"),
        ("\0/notes.txt", "notes.txt"),
        ("console.txt", "console.txt"),
        ("~$notes.docx", "~$notes.docx"),
        ("%2e%2e%2fnotes.txt", "%2e%2e%2fnotes.txt"),
        ("n" * 251 + ".txt", "n" * 251 + ".txt"),
    ],
)
def test_a_file_is_added_under_a_name_that_every_system_has(tmp_path, upload, name, source):
    before = everything(tmp_path)
    assert add(tmp_path / "docs", name, upload) == source
    assert everything(tmp_path) == {**before, "docs": None, f"docs/{source}": b"War\r\nand salt."}


NO_NAME = "is not a file name. Give it another name."
ODD = "has characters that no file name can have. Give it another name."
DEVICE = "is the name of a device on Windows. Give it another name."
NOT_READ = f"has a type that can't be read. Readable: {' '.join(READABLE)}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", f"'' {NO_NAME}"),
        (".", f"'.' {NO_NAME}"),
        ("..", f"'..' {NO_NAME}"),
        (" . . ", f"' . . ' {NO_NAME}"),
        ("/", f"'/' {NO_NAME}"),
        ("../", f"'../' {NO_NAME}"),
        ("notes.txt/", f"'notes.txt/' {NO_NAME}"),
        ("notes.txt\\", f"'notes.txt\\\\' {NO_NAME}"),
        ("notes.txt/..", f"'notes.txt/..' {NO_NAME}"),
        ("notes\0.txt", f"'notes\\x00.txt' {ODD}"),
        ("notes.txt\0.png", f"'notes.txt\\x00.png' {ODD}"),
        ("a\nb.txt", f"'a\\nb.txt' {ODD}"),
        ("a\x1b[2J.txt", f"'a\\x1b[2J.txt' {ODD}"),
        ("a\x85.txt", f"'a\\x85.txt' {ODD}"),
        ("gpj.\u202etxt.txt", f"'gpj.\\u202etxt.txt' {ODD}"),
        ("\udc80.txt", f"'\\udc80.txt' {ODD}"),
        ("CON", f"CON {DEVICE}"),
        ("con.txt", f"con.txt {DEVICE}"),
        ("../NUL.a.txt", f"NUL.a.txt {DEVICE}"),
        (".aux.txt", f"aux.txt {DEVICE}"),
        ("com1 .txt", f"com1 .txt {DEVICE}"),
        ("lpt².txt", f"lpt².txt {DEVICE}"),
        ("conin$.txt", f"conin$.txt {DEVICE}"),
        (".txt", f"txt {NOT_READ}"),
        ("notes", f"notes {NOT_READ}"),
        ("notes.exe", f"notes.exe {NOT_READ}"),
        ("notes.txt.lnk", f"notes.txt.lnk {NOT_READ}"),
        ("notes.txt::$DATA", f"notes.txt__$DATA {NOT_READ}"),
        ("n" * 252 + ".txt", "The name has 256 bytes, more than 255. Give it a shorter one."),
        ("é" * 126 + ".txt", "The name has 256 bytes, more than 255. Give it a shorter one."),
    ],
)
def test_a_name_that_is_not_allowed_is_reported_and_nothing_is_created(tmp_path, upload, name, message):
    before = everything(tmp_path)
    with pytest.raises(DocumentsError) as raised:
        add(tmp_path / "docs", name, upload)
    assert str(raised.value) == message
    assert everything(tmp_path) == before


def test_a_file_replaces_none(tmp_path, upload):
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "x.txt").write_text("Mine.")
    (documents / "y.txt").mkdir()
    names = ["x.txt", "y.txt"]
    if not windows:
        (documents / "z.txt").symlink_to(tmp_path / "outside.txt")
        names.append("z.txt")
    before = everything(tmp_path)
    for name in names:
        with pytest.raises(DocumentsError) as raised:
            add(documents, name, upload)
        assert str(raised.value) == (f"{name} is there already. Remove it first, or give yours another name.")
        assert everything(tmp_path) == before


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_add_the_same_name_at_once_one_does(tmp_path, upload, monkeypatch, links):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    if not links:  # a disk, such as a memory stick's, that has none
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    start = threading.Barrier(8)
    added: list[str] = []
    refused: list[str] = []

    def one(number: int) -> None:
        path = tmp_path / f"{number}"
        path.write_text(f"Number {number}.")
        start.wait()
        try:
            add(tmp_path / "docs", "x.txt", path)
            added.append(path.read_text())
        except DocumentsError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everything(tmp_path / "docs") == {"x.txt": added[0].encode()}
    assert refused == ["x.txt is there already. Remove it first, or give yours another name."] * 7


def test_a_file_that_is_too_large_or_can_not_be_read_is_reported(tmp_path, upload, monkeypatch):
    monkeypatch.setattr("rag.documents.folder.MAX_BYTES", len(upload.read_bytes()) - 1)
    with pytest.raises(DocumentsError, match=r"^x\.txt is larger than 0 MB; split it\.$"):
        add(tmp_path / "docs", "x.txt", upload)
    with pytest.raises(DocumentsError, match=r"^x\.txt is not a regular file\.$"):
        add(tmp_path / "docs", "x.txt", tmp_path / "nowhere")
    assert not (tmp_path / "docs").exists()


def test_a_folder_that_can_not_be_written_is_reported(tmp_path, upload):
    (tmp_path / "docs").write_text("no folder")
    with pytest.raises(DocumentsError, match=r"docs can't be written: .* name another: --documents DIR$"):
        add(tmp_path / "docs", "x.txt", upload)
    assert (tmp_path / "docs").read_text() == "no folder"


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, upload, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DocumentsError, match=r"can't be written: No space left on device\. Check its disk"):
        add(tmp_path / "docs", "x.txt", upload)
    assert everything(tmp_path / "docs") == {}


@pytest.fixture
def shelf(tmp_path) -> Path:
    """A documents folder with a folder in it, beside files that are none of its own."""
    documents = tmp_path / "docs"
    (documents / "sub").mkdir(parents=True)
    for place in ("docs/a.txt", "docs/sub/b.txt", "docs/.hidden.txt", "docs/c.zip", "outside.txt"):
        (tmp_path / place).write_text(place)
    return documents


@pytest.mark.parametrize("source", ["a.txt", "sub/b.txt"])
def test_a_document_is_removed(shelf, tmp_path, source):
    before = everything(tmp_path)
    remove(shelf, source)
    del before[f"docs/{source}"]
    assert everything(tmp_path) == before


HOSTILE = [
    "../outside.txt",
    "..\\outside.txt",
    "sub/../../outside.txt",
    "sub/../a.txt",
    "./a.txt",
    "/a.txt",
    "//a.txt",
    "sub//b.txt",
    "sub\\b.txt",
    "sub/b.txt/",
    "a.txt/",
    "a.txt/..",
    "",
    ".",
    "..",
    "/",
    "sub",
    "sub/",
    "\0",
    "a.txt\0",
    "a.txt\0.png",
    "C:a.txt",
    "C:\\a.txt",
    "\\\\?\\C:\\a.txt",
    "a.txt::$DATA",
    "a.txt.",
    "a.txt ",
    ".hidden.txt",
    "c.zip",
    "nowhere.txt",
    "A.TXT",
    "*.txt",
    "\udc80.txt",
    "~/outside.txt",
    "a.txt\n",
    "x" * 5000,
]


@pytest.mark.parametrize("source", HOSTILE)
def test_only_a_document_of_the_folder_is_removed(shelf, tmp_path, source):
    before = everything(tmp_path)
    with pytest.raises(DocumentsError) as raised:
        remove(shelf, source)
    assert str(raised.value) == f"{shelf} has no document {source!r}. Name one that it lists."
    assert everything(tmp_path) == before


def test_an_absolute_path_is_no_source(shelf, tmp_path):
    for path in (tmp_path / "outside.txt", shelf / "a.txt"):
        with pytest.raises(DocumentsError, match="Name one that it lists"):
            remove(shelf, str(path))
        assert path.is_file()


@pytest.mark.skipif(windows, reason="links need a right of their own")
def test_links_do_not_lead_out_of_the_folder(shelf, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "d.txt").write_text("other")
    (shelf / "out.txt").symlink_to(tmp_path / "outside.txt")
    (shelf / "linked").symlink_to(tmp_path / "other")
    (shelf / "again").symlink_to("sub")
    (shelf / "sub.txt").symlink_to("sub")
    before = everything(tmp_path)
    for source in ("out.txt", "linked/d.txt", "linked", "again/b.txt", "sub.txt"):
        with pytest.raises(DocumentsError, match="Name one that it lists"):
            remove(shelf, source)
    assert everything(tmp_path) == before
    (shelf / "in.txt").symlink_to("a.txt")
    (shelf / "nothing.txt").symlink_to("not there")
    remove(shelf, "in.txt")
    remove(shelf, "nothing.txt")
    assert everything(tmp_path) == before


def test_a_file_that_can_not_be_removed_is_reported(shelf, monkeypatch):
    def busy(path, *, missing_ok):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", busy)
    with pytest.raises(DocumentsError, match=r"^a\.txt can't be removed: Permission denied\. Check its"):
        remove(shelf, "a.txt")
    with pytest.raises(DocumentsError, match=r"none has no document 'a\.txt'"):
        remove(shelf.parent / "none", "a.txt")


def test_a_file_is_stale_when_it_is_gone_or_says_something_else(folders):
    folders.build()
    with store.reading(folders.index) as snapshot:
        hashes = snapshot.hashes()
    assert [is_stale(folders.documents, source, sha256) for source, sha256 in hashes.items()] == [False] * 3
    folders.write({"a.txt": "Other."})
    (folders.documents / "b.txt").unlink()
    assert [is_stale(folders.documents, source, sha256) for source, sha256 in hashes.items()] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("source", ["../c.txt", "\0", "", ".", "\udc80"])
def test_what_is_no_document_of_the_folder_is_stale(folders, source):
    folders.build()
    with store.reading(folders.index) as snapshot:
        sha256 = snapshot.hashes()["c.txt"]
    (folders.documents.parent / "c.txt").write_text(TEXTS["c.txt"], newline="")
    assert is_stale(folders.documents, source, sha256)
    assert is_stale(folders.documents, str(folders.documents.parent / "c.txt"), sha256)
