import hashlib

import pytest

from rag.errors import QuestionError
from rag.index.disk.index import DiskIndex
from rag.index.excerpts import Excerpt, Opened, excerpt, opened
from tests.support.files import pdf
from tests.support.folders import IDENTITY, Folders

LONG = "War and bread.\n" * 2_000


@pytest.fixture
def folders(tmp_path) -> Folders:
    made = Folders(tmp_path)
    made.write({"2016-05-12 war.md": "# The war\n\nIt began.\r\n"})
    (made.documents / "a.pdf").write_bytes(pdf("War came.", "Peace came."))
    made.build()
    return made


def opened_in(folders: Folders, *place, **quoted) -> Opened:
    return opened(DiskIndex(folders.index, IDENTITY), *place, **quoted)


def test_a_place_is_opened_with_what_its_document_says_of_itself(folders):
    content = (folders.documents / "2016-05-12 war.md").read_bytes()
    assert opened_in(folders, "2016-05-12 war.md", 11, 20) == Opened(
        source="2016-05-12 war.md",
        text=content.decode(),
        start=11,
        end=20,
        changed=False,
        title="The war",
        date="2016-05-12",
        page=None,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_the_page_is_that_of_the_quote_now(folders):
    found = opened_in(folders, "a.pdf", 0, 11, quote="Peace came.", page=7)
    assert found.text[found.start : found.end] == "Peace came."
    assert (found.page, found.changed) == (2, True)
    assert opened_in(folders, "a.pdf", found.start, found.end, quote="Peace came.", page=7).page == 2
    assert opened_in(folders, "a.pdf", found.start, found.end).page == 2
    gone = opened_in(folders, "a.pdf", 0, 11, quote="Bread came.", page=7)
    assert (gone.start, gone.end, gone.page, gone.changed) == (None, None, 7, True)
    assert gone.sha256 == found.sha256


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 22, (0, 22, False)),
        (22, 22, (22, 22, False)),
        (0, 23, (None, None, True)),
        (-4, -2, (None, None, True)),
        (5, 4, (None, None, True)),
    ],
)
def test_no_place_is_beyond_the_text(folders, start, end, expected):
    found = opened_in(folders, "2016-05-12 war.md", start, end)
    assert len(found.text) == 22
    assert (found.start, found.end, found.changed) == expected


@pytest.mark.parametrize("quoted", [{}, {"quote": "War.", "page": 3}])
def test_a_document_that_is_gone(folders, quoted):
    found = opened_in(folders, "b.txt", 0, 4, **quoted)
    page = quoted.get("page")
    assert found == Opened(
        "b.txt", "", None, None, changed=True, title=None, date=None, page=page, sha256=None
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> DiskIndex:
    folders = Folders(tmp_path_factory.mktemp("opening"))
    folders.write({"2016-05-12 war.txt": "\ufeffWar 🍞 and bread.\r\n", "long.txt": LONG})
    folders.build()
    return DiskIndex(folders.index, IDENTITY)


@pytest.mark.parametrize(
    ("start", "end", "given", "text"),
    [
        (0, None, (0, 18), "War 🍞 and bread.\r\n"),
        (4, 5, (4, 5), "🍞"),
        (10, 99, (10, 18), "bread.\r\n"),
        (18, None, (18, 18), ""),
    ],
)
def test_an_excerpt_is_the_characters_asked_for(index: DiskIndex, start, end, given, text):
    expected = Excerpt("2016-05-12 war.txt", given[0], given[1], text, None, "2016-05-12", 18)
    assert excerpt(index, "2016-05-12 war.txt", start, end) == expected


def test_a_long_document_is_given_20_000_characters_at_a_time(index: DiskIndex):
    first = excerpt(index, "long.txt", 0, None)
    rest = excerpt(index, "long.txt", first.end, 99_999)

    assert (first.end, rest.end, first.characters) == (20_000, 30_000, 30_000)
    assert first.text + rest.text == LONG


@pytest.mark.parametrize("source", ["short.txt", "../docs/long.txt", "", "long.txt/"])
def test_only_documents_of_the_index_are_read(index: DiskIndex, source):
    with pytest.raises(QuestionError, match=rf"^The index has no document {source}\. Name one as passages"):
        excerpt(index, source, 0, None)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (30_001, 30_002), (0, -1)])
def test_characters_that_are_not_there_are_reported(index: DiskIndex, start, end):
    with pytest.raises(
        QuestionError, match=r"^long\.txt has the characters 0 to 30,000; there are none from"
    ):
        excerpt(index, "long.txt", start, end)
