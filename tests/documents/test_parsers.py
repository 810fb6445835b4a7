from datetime import datetime
from email.message import EmailMessage

import docx
import pytest

from rag.documents.parsers import MAX_CHARS, Extract, require_text
from rag.documents.parsers.docx import read_word
from rag.documents.parsers.eml import read_mail
from rag.documents.parsers.html import read_web_page
from rag.documents.parsers.pdf import read_pdf
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.errors import UnreadableError
from tests.support.files import pdf, word, word_of

RIVER = "The river froze in January, and the bridge stood alone for weeks until the thaw came in March."
BREAD = "Bread was dear that winter, and salt was dearer still, so that many went without either of them."


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
        "War and peace\nby the river.\n\n\n\nBread – €5, “salt”.", pages=(0, 29, 31)
    )


def test_a_pdf_has_a_title_and_a_creation_date():
    content = pdf(
        "War", about="/Title (On  war) /CreationDate (D:20170403235959-11'00') /ModDate (D:20200101)"
    )

    assert read_pdf(content) == Extract("War", title="On war", date="2017-04-03", pages=(0,))


@pytest.mark.parametrize(
    "about",
    [
        "",
        "/Title (untitled) /CreationDate (D:20171345)",
        "/Title (Microsoft Word - a.docx) /CreationDate (today)",
    ],
)
def test_a_pdf_without_metadata(about):
    assert read_pdf(pdf("War", about=about)) == Extract("War", pages=(0,))


def test_a_word_hyphenated_at_the_end_of_a_line_is_joined():
    content = pdf("The Euro-\npean Union and Jean-\nPaul met in 2016-\n17, well-known.")

    assert read_pdf(content).text == "The European Union and Jean-Paul met in 2016-\n17, well-known."


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


# Word


def test_a_word_document_is_read_in_its_order():
    document = docx.Document()
    document.core_properties.title = "On war"
    document.core_properties.created = datetime(2017, 4, 3, 23, 59)
    document.add_heading("The war", 1)
    document.add_paragraph("It was ").add_run("long").bold = True
    table = document.add_table(2, 3)
    for row in range(2):
        for column in range(3):
            table.cell(row, column).text = f"r{row}\nc{column}"
    table.cell(1, 0).merge(table.cell(1, 1)).text = "merged"
    document.add_paragraph()
    document.add_paragraph("Peace\tcame\nlate.")

    assert read_word(word(document)) == Extract(
        "The war\n\nIt was long\n\nr0 c0 | r0 c1 | r0 c2\nmerged | r1 c2\n\nPeace\tcame\nlate.",
        title="On war",
        date="2017-04-03",
    )


def test_a_word_document_without_metadata():
    document = docx.Document()
    document.add_paragraph("War")

    assert read_word(word(document)) == Extract("War")


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def test_the_visible_text_of_a_word_document_is_read():
    body = (
        f"<w:sdt><w:sdtPr><w:alias/></w:sdtPr><w:sdtContent><w:p>{run('a form')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p>{run('kept ')}<w:ins>{run('new ')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        f"<w:moveFrom>{run('moved')}</w:moveFrom>"
        f"<w:hyperlink>{run('a link')}</w:hyperlink></w:p>"
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>A</w:t><w:noBreakHyphen/><w:t>4</w:t></w:r></w:p>"
        f"<w:p>{run('box: ')}<w:r><w:pict><w:txbxContent><w:p>{run('one')}</w:p><w:p>{run('two')}</w:p>"
        "</w:txbxContent></w:pict></w:r></w:p>"
        f"<w:tbl><w:tr><w:tc><w:p>{run('out')}</w:p><w:tbl><w:tr><w:tc><w:p>{run('in')}</w:p></w:tc></w:tr></w:tbl>"
        "</w:tc></w:tr></w:tbl>"
    )

    assert read_word(word_of(body)).text == "a form\n\nkept new a link\n\nA-4\n\nbox: one\ntwo\n\nout in"


def test_a_word_document_that_unpacks_to_too_much():
    zeros = {"zeros": b"0" * 200_000_001}
    assert reason(read_word, word_of("", more=zeros)).startswith("unpacks to 200,")
    many = {str(number): b"" for number in range(10_000)}
    assert reason(read_word, word_of("", more=many)).endswith(
        " bytes in 10,017 files, more than the 200,000,000 in 10,000 that are read"
    )


def test_an_encrypted_word_document():
    assert reason(read_word, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)) == (
        "is encrypted, or a .doc; save it as .docx without a password"
    )


# Web page


def page(*, head: str = "", body: str = "") -> bytes:
    main = f"<article><h1>The river</h1><p>{RIVER}</p>{body}<ul><li>{BREAD}</li></ul></article>"
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/all'>All articles</a></li></ul></nav>"
    foot = "<footer>© 2013 The Paper, updated 5 May 2021. <a href='/'>Imprint</a></footer>"
    return f"<html><head>{head}</head><body>{menu}{main}<script>war()</script>{foot}</body></html>".encode()


def test_a_web_page_is_its_main_text():
    assert read_web_page(page(head="<title>The river - The Paper</title>")) == Extract(
        f"The river\n{RIVER}\n- {BREAD}", title="The river"
    )


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("<meta property='article:published_time' content='2017-04-03T10:00:00Z'>", ""),
        (
            "<meta property='article:modified_time' content='2020-01-01'>"
            "<meta property='article:published_time' content='2017-04-03'>",
            "",
        ),
        ("<meta name='date' content='2017-04-03'>", "<p>Posted on 2014-03-04</p>"),
        ("", "<time datetime='2017-04-03'>on Monday</time><p><time datetime='2020-01-01'>later</time></p>"),
        ("", "<meta itemprop='datePublished' content='2017-04-03'>"),
        (
            '<script type="application/ld+json">{"@type": "Article", "datePublished": "2017-04-03"}</script>',
            "",
        ),
    ],
)
def test_a_web_page_has_the_date_that_it_states(head, body):
    assert read_web_page(page(head=head, body=body)).date == "2017-04-03"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", ""),
        ("", "<p>On 3 March 2019 it thawed. Copyright 2013.</p>"),
        ("", "<h1>Report of 2014-03-04</h1>"),
        ("<meta name='date' content='2017-13-45'>", ""),
        ("<meta name='date' content='2999-01-01'>", ""),
        ("<title>1995</title>", ""),
    ],
)
def test_a_date_that_a_web_page_only_mentions_is_not_its_own(head, body):
    assert read_web_page(page(head=head, body=body)).date is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"War and bread", "War and bread"),
        (b"<p>War &amp; bread", "War & bread"),
        (b"<?xml version='1.0' encoding='iso-8859-1'?><html><body><p>Caf\xe9</p></body></html>", "Café"),
        (b"<meta charset=windows-1251><p>" + "Мир и война".encode("cp1251"), "Мир и война"),
        ("<meta charset=windows-1252><p>Café".encode(), "Café"),
        ("<p>Frühling €".encode("utf-16"), "Frühling €"),
        (b"<p>W\0a\x01r &#xD800; &#0;", "War \ufffd \ufffd"),
        (b"<nav>War <b>and</b> bread</nav><style>p {}</style><script>war()</script>", "War and bread"),
        (b"<div>" * 300 + b"War", "War"),
        (b"", ""),
        (b"<!-- War -->", ""),
        (b"<script>war()</script>", ""),
    ],
)
def test_a_short_page_is_all_that_is_seen(content, text):
    assert read_web_page(content) == Extract(text)


def test_a_web_page_that_is_nested_too_deep():
    assert reason(read_web_page, b"<div>" * 3000 + b"War") == "is nested too deep to be read"


# E-mail


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in headers.items():
        made[name] = value
    return made


def test_a_mail_is_its_headers_and_its_plain_text():
    message = mail(
        Subject="Über den Krieg",
        From="Ada Löf <ada@example.org>",
        To="b@example.org, c@example.org",
        Date="Mon, 03 Apr 2017 23:59:00 -1100",
        Received="from nowhere",
    )
    message.set_content("War and bread.\n\nÀ bientôt")
    message.add_alternative("<p>not this</p>", subtype="html")
    message.add_attachment(b"nor this", maintype="text", subtype="plain", filename="a.txt")

    assert read_mail(message.as_bytes()) == Extract(
        "Subject: Über den Krieg\nFrom: Ada Löf <ada@example.org>\nTo: b@example.org, c@example.org\n"
        "Date: Mon, 03 Apr 2017 23:59:00 -1100\n\nWar and bread.\n\nÀ bientôt",
        title="Über den Krieg",
        date="2017-04-03",
    )


def test_a_mail_without_plain_text_is_its_web_page():
    message = mail(Subject="War")
    message.set_content(" \n")
    message.add_alternative(page().decode(), subtype="html")

    assert read_mail(message.as_bytes()).text == f"Subject: War\n\nThe river\n{RIVER}\n- {BREAD}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: War\n", Extract("Subject: War", title="War")),
        (b"\xef\xbb\xbfSubject: War\n\nBread", Extract("Subject: War\n\nBread", title="War")),
        ("Subject: Café\n\nZürich".encode(), Extract("Subject: Café\n\nZürich", title="Café")),
        (b"Subject: caf\xe9\n\nZ\xfcrich", Extract("Subject: café\n\nZürich", title="café")),
        (
            b"Subject: =?utf-8?q?Caf=C3=A9?=\n =?x?q?y?=\n",
            Extract("Subject: Caféy", title="Caféy"),
        ),
        (b'From: "a <<>\nDate: never\n\nWar', Extract('From: "a <<>"\nDate: never\n\nWar')),
        (
            b"From: a@b\nDate: Mon, 99 Apr 2017 10:00:00\n",
            Extract("From: a@b\nDate: Mon, 99 Apr 2017 10:00:00"),
        ),
        (
            b"From: a@b\nContent-Type: text/plain; charset=none\nContent-Transfer-Encoding: base64\n\nV2Fy!",
            Extract("From: a@b\n\nWar"),
        ),
        (b"From: a@b\nContent-Type: multipart/mixed\n\nWar", Extract("From: a@b")),
        (b"From: a@b\nContent-Type: image/png\n\nWar", Extract("From: a@b")),
        (b"From: a@b\nContent-Type: message/rfc822\n\nSubject: inner\n\nWar", Extract("From: a@b")),
    ],
)
def test_an_odd_mail(content, expected):
    assert read_mail(content) == expected


def test_a_file_without_headers_is_not_a_mail():
    assert reason(read_mail, b"War and bread.\n\nPeace") == (
        "is not an e-mail: it has no subject, sender, receiver or date"
    )
