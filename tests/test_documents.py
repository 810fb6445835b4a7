import codecs
import hashlib
import os
from pathlib import Path

import pytest

from rag.documents import read_folder
from rag.errors import DocumentsError
from rag.types import Document, Failure


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for source, content in files.items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_bytes(content)
    return folder


def document(source: str, text: str, content: bytes) -> Document:
    return Document(source, text, hashlib.sha256(content).hexdigest())


def test_reads_text_and_markdown_in_order_of_source(tmp_path):
    write(tmp_path, {"b.txt": b"two", "a.md": b"# one", "c.TXT": b"three", "d.html": b"<p>no"})

    assert list(read_folder(tmp_path)) == [
        document("a.md", "# one", b"# one"),
        document("b.txt", "two", b"two"),
        document("c.TXT", "three", b"three"),
    ]


def test_a_source_in_a_subfolder_has_slashes(tmp_path):
    write(tmp_path, {"news/2017/april.txt": b"war"})

    assert [found.source for found in read_folder(tmp_path)] == ["news/2017/april.txt"]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + "Frühling €".encode(),
        codecs.BOM_UTF16_LE + "Frühling €".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "Frühling €".encode("utf-16-be"),
        "Frühling €".encode(),
    ],
    ids=["utf-8-sig", "utf-16-le", "utf-16-be", "utf-8"],
)
def test_the_byte_order_mark_is_dropped(tmp_path, content):
    write(tmp_path, {"a.txt": content})

    assert list(read_folder(tmp_path)) == [document("a.txt", "Frühling €", content)]


def test_line_ends_and_white_space_stay_as_they_are(tmp_path):
    content = b"\r\n one\r\n\r\ntwo\rthree\n\t\x0c "
    write(tmp_path, {"a.txt": content})

    assert list(read_folder(tmp_path)) == [document("a.txt", content.decode(), content)]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    write(tmp_path, {"a.txt": b"war", ".b.txt": b"hidden", ".git/c.txt": b"hidden", "d/.e/f.md": b"hidden"})

    assert [found.source for found in read_folder(tmp_path)] == ["a.txt"]


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path):
    outside = write(tmp_path / "outside", {"secret.txt": b"secret"})
    inside = write(tmp_path / "inside", {"a.txt": b"war"})
    (inside / "file.txt").symlink_to(outside / "secret.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "same.txt").symlink_to(inside / "a.txt")

    assert [found.source for found in read_folder(inside)] == ["a.txt", "same.txt"]


def test_only_links_that_leave_the_folder_are_named_as_such(tmp_path):
    outside = write(tmp_path / "outside", {"secret.txt": b"secret"})
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file.txt").symlink_to(outside / "secret.txt")

    with pytest.raises(DocumentsError) as raised:
        list(read_folder(inside))
    assert str(raised.value) == (
        f"{inside} has no readable document: 1 link out of the folder. Readable: .txt .md"
    )


def test_a_link_to_itself_is_one_bad_file(tmp_path):
    write(tmp_path, {"b.txt": b"war"})
    (tmp_path / "a.txt").symlink_to(tmp_path / "a.txt")

    assert list(read_folder(tmp_path)) == [
        Failure("a.txt", "is not a regular file"),
        document("b.txt", "war", b"war"),
    ]


def test_a_folder_linked_by_name_is_read(tmp_path):
    write(tmp_path / "real", {"a.txt": b"war"})
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert list(read_folder(tmp_path / "link")) == [document("a.txt", "war", b"war")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (codecs.BOM_UTF8, "is empty"),
        (b" \r\n\t", "is empty"),
        (b"PK\x03\x04\x00\x00", "is binary, not text"),
        (b"caf\xe9", "is not UTF-8 text (byte 3); save it as UTF-8"),
    ],
)
def test_one_bad_file_among_good_ones_is_a_failure(tmp_path, content, reason):
    write(tmp_path, {"a.txt": b"war", "bad.txt": content, "c.txt": b"peace"})

    assert list(read_folder(tmp_path)) == [
        document("a.txt", "war", b"war"),
        Failure("bad.txt", reason),
        document("c.txt", "peace", b"peace"),
    ]


def test_a_name_that_is_not_text_is_a_failure(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"war")
    except OSError:
        pytest.skip("this file system has only names that are text")

    assert list(read_folder(tmp_path)) == [
        Failure("caf?.txt", "has a name that is not valid text; rename it")
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_a_failure_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")

    assert list(read_folder(tmp_path)) == [Failure("a.txt", "is not a regular file")]


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path, monkeypatch):
    write(tmp_path, {"a.txt": b"war", "locked/b.txt": b"peace"})
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    assert list(read_folder(tmp_path)) == [
        document("a.txt", "war", b"war"),
        Failure("locked", "can't be read: Permission denied"),
    ]


def test_a_missing_folder_names_the_flag(tmp_path):
    with pytest.raises(DocumentsError) as raised:
        list(read_folder(tmp_path / "none"))
    assert str(raised.value) == (
        f"The documents folder {tmp_path / 'none'} doesn't exist. Name another: --documents DIR"
    )


def test_a_file_in_place_of_the_folder_names_the_flag(tmp_path):
    write(tmp_path, {"a.txt": b"war"})

    with pytest.raises(DocumentsError) as raised:
        list(read_folder(tmp_path / "a.txt"))
    assert str(raised.value) == (
        f"The documents folder {tmp_path / 'a.txt'} is not a folder. Name another: --documents DIR"
    )


def test_an_empty_folder_names_what_is_readable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()

    with pytest.raises(DocumentsError) as raised:
        list(read_folder(tmp_path / "docs"))
    assert str(raised.value) == "docs has no readable document: it is empty. Readable: .txt .md"


def test_a_folder_of_other_kinds_counts_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"docs/a.zip": b"x", "docs/b.zip": b"x", "docs/c.PNG": b"x", "docs/Makefile": b"x"})

    with pytest.raises(DocumentsError) as raised:
        list(read_folder(tmp_path / "docs"))
    message = str(raised.value)
    assert message.startswith("docs has no readable document: 2 .zip, 1 ")
    assert set(message.split(": ")[1].split(". ")[0].split(", ")) == {
        "2 .zip",
        "1 .png",
        "1 without a suffix",
    }
    assert message.endswith("Readable: .txt .md")
