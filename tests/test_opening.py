import pytest

from rag.errors import QuestionError
from rag.index import Index
from rag.opening import Excerpt, excerpt
from tests.test_indexing import IDENTITY, Folders

LONG = "War and bread.\n" * 2_000


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    folders = Folders(tmp_path_factory.mktemp("opening"))
    folders.write({"2016-05-12 war.txt": "\ufeffWar 🍞 and bread.\r\n", "long.txt": LONG})
    folders.build()
    return Index(folders.index, IDENTITY)


@pytest.mark.parametrize(
    ("start", "end", "given", "text"),
    [
        (0, None, (0, 18), "War 🍞 and bread.\r\n"),
        (4, 5, (4, 5), "🍞"),
        (10, 99, (10, 18), "bread.\r\n"),
        (18, None, (18, 18), ""),
    ],
)
def test_an_excerpt_is_the_characters_asked_for(index: Index, start, end, given, text):
    expected = Excerpt("2016-05-12 war.txt", *given, text, None, "2016-05-12", 18)
    assert excerpt(index, "2016-05-12 war.txt", start, end) == expected


def test_a_long_document_is_given_20_000_characters_at_a_time(index: Index):
    first = excerpt(index, "long.txt", 0, None)
    rest = excerpt(index, "long.txt", first.end, 99_999)

    assert (first.end, rest.end, first.characters) == (20_000, 30_000, 30_000)
    assert first.text + rest.text == LONG


@pytest.mark.parametrize("source", ["short.txt", "../docs/long.txt", "", "long.txt/"])
def test_only_documents_of_the_index_are_read(index: Index, source):
    with pytest.raises(QuestionError, match=rf"^The index has no document {source}\. Name one as passages"):
        excerpt(index, source, 0, None)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (30_001, 30_002), (0, -1)])
def test_characters_that_are_not_there_are_told_of(index: Index, start, end):
    with pytest.raises(
        QuestionError, match=r"^long\.txt has the characters 0 to 30,000; there are none from"
    ):
        excerpt(index, "long.txt", start, end)
