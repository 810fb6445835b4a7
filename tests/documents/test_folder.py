import codecs
import hashlib
import os
from pathlib import Path

import pytest

from rag.documents.folder import File, files, read, read_folder
from rag.documents.sandbox import Sandbox
from rag.errors import DocumentsError
from rag.types import Block, Document, Failure
from tests.support.files import pdf

READABLE = ".txt .md .html .htm .pdf .docx .eml"


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for source, content in files.items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_bytes(content)
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def document(source: str, text: str, content: bytes, **about) -> Document:
    """A document of one paragraph, unless it is `about` another."""
    return Document(source, text, sha256(content), **{"blocks": (Block("paragraph", 0, len(text)),), **about})


def test_reads_text_and_markdown_in_order_of_source(tmp_path):
    write(tmp_path, {"b.txt": b"two", "a.md": b"one", "c.TXT": b"three", "d.png": b"no"})

    assert list(read_folder(tmp_path)) == [
        document("a.md", "one", b"one"),
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

    blocks = (Block("paragraph", 3, 6), Block("paragraph", 10, 13), Block("paragraph", 14, 19))
    assert list(read_folder(tmp_path)) == [document("a.txt", content.decode(), content, blocks=blocks)]


def test_hidden_files_and_folders_are_skipped(tmp_path):
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
        f"{inside} has no readable document: 1 link out of the folder. Readable: {READABLE}"
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
        ("déjà été à".encode()[:-1], "is not UTF-8 text (byte 13); save it as UTF-8"),
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


def test_a_file_instead_of_a_folder_names_the_flag(tmp_path):
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
    assert str(raised.value) == f"docs has no readable document: it is empty. Readable: {READABLE}"


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
    assert message.endswith(f"Readable: {READABLE}")


def test_the_files_are_listed_with_the_hash_and_size_of_their_content(tmp_path):
    write(tmp_path, {"b/c.PDF": b"two", "a.eml": b"", "d.png": b"no"})
    (tmp_path / "e.txt").symlink_to("none.txt")

    assert list(files(tmp_path)) == [
        File("a.eml", tmp_path / "a.eml", sha256(b""), 0),
        File("b/c.PDF", tmp_path / "b/c.PDF", sha256(b"two"), 3),
        Failure("e.txt", "is not a regular file"),
    ]


def test_a_file_is_read_as_it_is_now(tmp_path):
    write(tmp_path, {"a.txt": b"war", "b.txt": b"war"})
    first, second = files(tmp_path)
    write(tmp_path, {"a.txt": b"peace"})
    (tmp_path / "b.txt").unlink()

    with Sandbox() as extraction:
        assert read(first, extraction) == document("a.txt", "peace", b"peace")
        assert read(second, extraction) == Failure("b.txt", "is not a regular file")


def test_a_file_of_another_format_is_read_by_its_format(tmp_path):
    content = pdf("War and", "bread", about="/Title (On war) /CreationDate (D:20170403)")
    write(tmp_path, {"a.pdf": content, "b.PDF": b"", "c.htm": b"<p>Peace", "d.html": b"<script>x</script>"})

    assert list(read_folder(tmp_path)) == [
        document("a.pdf", "War and bread", content, title="On war", date="2017-04-03", pages=(0, 7)),
        Failure("b.PDF", "is empty"),
        document("c.htm", "Peace", b"<p>Peace"),
        Failure("d.html", "has no text"),
    ]


@pytest.mark.parametrize(
    ("source", "content", "title", "date"),
    [
        ("a.txt", b"# no title\n", None, None),
        ("a 2017-04-03.txt", b"war", None, "2017-04-03"),
        ("20170403/a.txt", b"war", None, None),
        ("20170403.pdf", pdf("War"), None, "2017-04-03"),
        ("a.md", b"War\n\n# The war #\n# Peace\n", "The war", None),
        ("a.md", b"#hashtag\n## Part\n", None, None),
        ("a.md", b"# The war in C# \n", "The war in C#", None),
        ("a.md", b"The war ==\n===\n", "The war ==", None),
        ("a.md", b"```sh\n# a comment\n```\n# The war\r\n", "The war", None),
        ("a.md", b"---\ntitle: The war\ndate: 2017-04-03\n---\n# Peace\n", "The war", "2017-04-03"),
        (
            "a.md",
            b"---\r\ntitle: \"The  war\"\r\ndate: '2017-04-03 10:00'\r\n---\r\n",
            "The war",
            "2017-04-03",
        ),
        ("2018-02-03.md", b"---\ndate: 2017-13-45\n# title: no\n---\n# Peace\n", "Peace", "2018-02-03"),
        ("2018-02-03.md", b"---\ndate: 2017-04-03\n---\nwar", None, "2017-04-03"),
        ("a.md", b"---\ntitle: never closed\n", None, None),
        ("a.md", b"---\ntitle: " + b"long " * 100 + b"\n---\n# Untitled\n", None, None),
    ],
)
def test_the_title_and_date_that_a_document_has(tmp_path, source, content, title, date):
    write(tmp_path, {source: content})

    (found,) = read_folder(tmp_path)

    assert (found.title, found.date) == (title, date)


def test_front_matter_is_part_of_the_text(tmp_path):
    content = b"---\ntitle: War\n---\nPeace"
    write(tmp_path, {"a.md": content})

    blocks = (
        Block("metadata", 0, 3),
        Block("metadata", 4, 14),
        Block("metadata", 15, 18),
        Block("paragraph", 19, 24),
    )
    assert list(read_folder(tmp_path)) == [
        document("a.md", content.decode(), content, title="War", blocks=blocks)
    ]


@pytest.mark.parametrize(
    ("line", "last"),
    [
        (b" " * 300_000, (600_012, 600_015)),
        (b"#" * 300_000, (4, 600_015)),
        (b"# " + b" #" * 150_000 + b"x", (600_018, 600_021)),
        (b"title" * 60_000, (4, 600_015)),
    ],
)
def test_a_markdown_text_of_one_long_line_is_read_at_once(tmp_path, line, last):
    content = b"---\ntitle:" + line + b"\n" + line + b"\nWar"
    write(tmp_path, {"a.md": content})

    (found,) = read_folder(tmp_path)

    assert (found.text, found.title) == (content.decode(), None)
    assert found.blocks[-1] == Block("paragraph", *last)


def test_a_text_that_is_too_long_is_a_failure(tmp_path):
    write(tmp_path, {"a.txt": b"x" * 10_000_001, "b.txt": b"x" * 10_000_000, "c.txt": b"x" * 50_000_000})

    first, second, third = read_folder(tmp_path)

    reason = "characters, more than the 10,000,000 that are read; split it"
    assert first == Failure("a.txt", f"has 10,000,001 {reason}")
    assert len(second.text) == 10_000_000
    assert third == Failure("c.txt", f"has 50,000,000 {reason}")


def test_a_file_that_is_too_large_is_a_failure(tmp_path):
    for source in ("a.txt", "b.pdf"):
        with (tmp_path / source).open("wb") as stream:
            stream.truncate(100_000_001)

    assert list(files(tmp_path)) == [
        Failure("a.txt", "is larger than 100 MB; split it"),
        Failure("b.pdf", "is larger than 100 MB; split it"),
    ]
