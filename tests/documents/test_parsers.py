import pytest

from rag.documents.parsers import MAX_CHARS, Extract, require_text
from rag.documents.parsers.pdf import read_pdf
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.errors import UnreadableError
from rag.types import Block
from tests.support.files import pdf


def reason(read, content: bytes) -> str:
    with pytest.raises(UnreadableError) as raised:
        read(content)
    return str(raised.value)


# What the formats have in common


def test_clean_text_has_line_feeds_and_no_control_characters():
    assert clean("a\r\nb\rc\x0bd\x0ce\tf\0\x01\x02\x1bg\ufffeh\uffffi") == "a\nb\nc\nd\ne\tfghi"


def test_clean_text_has_no_lone_surrogates():
    assert clean("a\ud83d\ude00b\ud800c\udfff") == "a😀b\ufffdc\ufffd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The river", "The river"),
        (" The\r\n  river\0 ", "The river"),
        ("x" * 300, "x" * 300),
        *(
            (text, None)
            for text in (None, "", " ", "x" * 301, "untitled", "Untitled-1", "Document1", "Word Document")
        ),
        *((text, None) for text in ("Microsoft Word - river.docx", "river final.doc", "RIVER.PDF")),
    ],
)
def test_a_title_is_one_line_that_somebody_gave(text, expected):
    assert title(text) == expected


@pytest.mark.parametrize(
    ("text", "encoding", "charset"),
    [
        ("Café", "cp1252", "windows-1252"),
        ("Café", "utf-8", "windows-1252"),
        ("Café", "utf-8-sig", None),
        ("Мир и война", "koi8-r", "KOI8-R"),
        ("Café Zürich", "cp1252", "no-such-encoding"),
        ("Café Zürich", "cp1252", "utf-8"),
        ("川が凍り", "iso2022_jp", "iso-2022-jp"),
        ("Cafe", "ascii", "utf-16"),
        ("Café", "utf-16", "utf-16"),
    ],
)
def test_text_is_decoded_as_stated_where_that_fits(text, encoding, charset):
    assert decode_stated(text.encode(encoding), charset) == text


def test_text_must_not_be_empty_or_too_long():
    longest = Extract("x" * MAX_CHARS)
    assert require_text(longest) is longest
    assert reason(require_text, Extract("x" * (MAX_CHARS + 1))) == (
        "has 10,000,001 characters, more than the 10,000,000 that are read; split it"
    )
    assert reason(require_text, Extract(" \n")) == "has no text"


# PDF


def test_a_pdf_is_read_page_by_page():
    content = pdf("War and peace\nby the river.", "", "Bread – €5, “salt”.")

    assert read_pdf(content) == Extract(
        "War and peace by the river.\n\nBread – €5, “salt”.",
        pages=(0, 29, 29),
        blocks=(Block("paragraph", 0, 27), Block("paragraph", 29, 48)),
    )


def test_a_pdf_has_a_title_and_a_creation_date():
    content = pdf(
        "War", about="/Title (On  war) /CreationDate (D:20170403235959-11'00') /ModDate (D:20200101)"
    )

    assert read_pdf(content) == Extract(
        "War", title="On war", date="2017-04-03", pages=(0,), blocks=(Block("paragraph", 0, 3),)
    )


@pytest.mark.parametrize(
    "about",
    [
        "",
        "/Title (untitled) /CreationDate (D:20171345)",
        "/Title (Microsoft Word - a.docx) /CreationDate (today)",
    ],
)
def test_a_pdf_without_metadata(about):
    assert read_pdf(pdf("War", about=about)) == Extract("War", pages=(0,), blocks=(Block("paragraph", 0, 3),))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pdf("War", locked=True), "is encrypted; save it without a password"),
        (pdf("", " "), "has no text; a scanned document needs OCR first"),
        (pdf(), "is not a PDF that can be read: it is damaged or has no page"),
        (b"", "is not a PDF that can be read: it is damaged or has no page"),
        (b"War", "is not a PDF that can be read: it is damaged or has no page"),
        (pdf("War and peace")[:-100], "is not a PDF that can be read: it is damaged or has no page"),
    ],
)
def test_a_pdf_that_cannot_be_quoted(content, expected):
    assert reason(read_pdf, content) == expected
