import io
import zipfile
from datetime import datetime

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml.ns import qn

from rag.documents.parsers import Extract
from rag.documents.parsers.docx import read_word
from rag.errors import UnreadableError
from tests.support.files import word, word_of
from tests.support.outline import outline


def blocks(document) -> list[str]:
    return outline(read_word(word(document)))


def run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"


def with_parts(content: bytes, **parts: str) -> bytes:
    """The document with more parts: `footnotes="<w:footnote ...>"` becomes word/footnotes.xml."""
    made = io.BytesIO()
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    roots = {"header": "hdr", "footer": "ftr"}
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(made, "w") as changed:
        for name in whole.namelist():
            file = whole.read(name)
            if name == "word/_rels/document.xml.rels":
                more = "".join(
                    f'<Relationship Id="x{part}" Type="{kinds}/{part}" Target="{part}.xml"/>'
                    for part in parts
                )
                file = file.replace(b"</Relationships>", f"{more}</Relationships>".encode())
            changed.writestr(name, file)
        for part, xml in parts.items():
            root = f"w:{roots.get(part, part)}"
            changed.writestr(f"word/{part}.xml", f"<{root} {space}>{xml}</{root}>")
    return made.getvalue()


def strict(content: bytes) -> bytes:
    """The document in the namespaces of the strict format."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(made, "w") as changed:
        for name in whole.namelist():
            file = whole.read(name)
            for space in (b"officeDocument", b"wordprocessingml"):
                file = file.replace(
                    b"http://schemas.openxmlformats.org/%s/2006/" % space,
                    b"http://purl.oclc.org/ooxml/%s/" % space,
                )
            changed.writestr(name, file)
    return made.getvalue()


def reason(content: bytes) -> str:
    with pytest.raises(UnreadableError) as raised:
        read_word(content)
    return str(raised.value)


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
    document.add_paragraph("Peace\tcame\nlate.\n\nVery  late.")

    extract = read_word(word(document))

    assert extract == Extract(
        "The war\n\nIt was long\n\nr0 c0 | r0 c1 | r0 c2\nmerged | r1 c2\n\nPeace\tcame\nlate.\n\nVery late.",
        title="On war",
        date="2017-04-03",
        blocks=extract.blocks,
    )
    assert outline(extract) == [
        "heading 1: The war",
        "paragraph: It was long",
        "row: r0 c0 | r0 c1 | r0 c2 <-  &  & ",
        "row: merged | r1 c2 <-  & ",
        "paragraph: Peace\tcame\nlate.",
        "paragraph: Very late.",
    ]


def test_a_word_document_without_metadata():
    document = docx.Document()
    document.add_paragraph("War")

    extract = read_word(word(document))

    assert (extract.text, extract.title, extract.date) == ("War", None, None)


def test_the_styles_of_paragraphs_say_what_they_are():
    document = docx.Document()
    own = document.styles.add_style("Kapitel", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 2"]
    document.styles.add_style("Source Code", WD_STYLE_TYPE.PARAGRAPH)
    document.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
    for style, text in (
        ("Title", "On war"),
        ("toc 1", "Bread\t3"),
        ("Kapitel", "Bread"),
        ("Heading 3", "Was it dear?"),
        ("Normal", "It was."),
        ("Quote", "Dear!"),
        ("Caption", "Figure 1"),
        ("Normal", "Run:"),
        ("Source Code", "if war:"),
        ("Source Code", "  flee()"),
        ("Normal", "• salt"),
    ):
        document.add_paragraph(text, style)

    assert blocks(document) == [
        "heading 1: On war",
        "furniture: Bread\t3",
        "heading 2: Bread",
        "question 3: Was it dear?",
        "answer: It was. <- Was it dear?",
        "quotation: Dear!",
        "caption: Figure 1",
        "answer: Run: <- Was it dear?",
        "code: if war:\n  flee() <- Run:",
        "item 1: • salt",
    ]


def test_an_outline_level_makes_a_heading():
    body = paragraph("Bread", '<w:outlineLvl w:val="1"/>') + paragraph(
        "Salt", '<w:pStyle w:val="Heading1"/><w:outlineLvl w:val="9"/>'
    )

    assert outline(read_word(word_of(body))) == ["heading 2: Bread", "paragraph: Salt"]


NUMBERING = (
    '<w:abstractNum w:abstractNumId="1">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%3"/></w:lvl></w:abstractNum>'
    '<w:abstractNum w:abstractNumId="2"><w:lvl w:ilvl="0">'
    '<w:numFmt w:val="bullet"/><w:lvlText w:val=""/></w:lvl>'
    '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="2"/></w:num><w:num w:numId="3"><w:abstractNumId w:val="1"/>'
    '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="4"/></w:lvlOverride></w:num>'
)


def item(text: str, number: int, level: int = 0, more: str = "") -> str:
    numbering = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return paragraph(text, f"{more}{numbering}")


def numbered(body: str) -> list[str]:
    """The blocks of a document with these paragraphs and the lists above."""
    content = io.BytesIO()
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    with zipfile.ZipFile(io.BytesIO(word_of(body))) as whole, zipfile.ZipFile(content, "w") as changed:
        for name in whole.namelist():
            numbering = f"<w:numbering {space}>{NUMBERING}</w:numbering>".encode()
            changed.writestr(name, numbering if name == "word/numbering.xml" else whole.read(name))
    return outline(read_word(content.getvalue()))


def test_items_have_their_numbers_their_lead_in_and_their_nesting():
    assert numbered(
        paragraph("Bring:")
        + item("bread", 1)
        + item("dark", 1, 1)
        + item("rye", 1, 2)
        + item("white", 1, 1)
        + paragraph("Not too much.")
        + item("salt", 1)
        + item("black", 1, 1)
        + paragraph("Again:")
        + item("oil", 3)
        + paragraph("And:")
        + item("cups", 2)
        + item("none", 9)
        + item("also none", 0)
    ) == [
        "paragraph: Bring:",
        "item 1: 1. bread <- Bring:",
        "item 2: 1.a) dark <- 1. bread",
        "item 3: I rye <- 1.a) dark",
        "item 2: 1.b) white <- 1. bread",
        "paragraph: Not too much.",
        "item 1: 2. salt <- Bring:",
        "item 2: 2.a) black <- 2. salt",
        "paragraph: Again:",
        "item 1: 4. oil <- Again:",
        "paragraph: And:",
        "item 1: - cups <- And:",
        "paragraph: none",
        "paragraph: also none",
    ]


def test_a_heading_has_its_number():
    style = '<w:pStyle w:val="Heading1"/>'
    assert numbered(item("Bread", 1, more=style) + item("Salt", 1, more=style)) == [
        "heading 1: 1. Bread",
        "heading 1: 2. Salt",
    ]


def test_tables_have_the_headers_of_their_cells():
    document = docx.Document()
    table = document.add_table(4, 3)
    for row, texts in enumerate(
        (("Town", "Price", ""), ("", "May", "June"), ("Ulm", "4", "5"), ("", "6", "7"))
    ):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    table.cell(0, 1).merge(table.cell(0, 2)).text = "Price"
    table.cell(0, 0).merge(table.cell(1, 0)).text = "Town"
    table.cell(2, 0).merge(table.cell(3, 0)).text = "Ulm"
    for row in table.rows[:2]:
        header = row._tr.get_or_add_trPr()
        header.append(header.makeelement(qn("w:tblHeader")))
    bold = document.add_table(2, 2)
    for column, text in enumerate(("Bread", "Salt")):
        bold.cell(0, column).paragraphs[0].add_run(text).bold = True
        bold.cell(1, column).text = "dear"
    labels = document.add_table(2, 2)
    for row, pair in enumerate((("Weight", "3.4 kg"), ("Bag", "2 l"))):
        for column, text in enumerate(pair):
            labels.cell(row, column).text = text

    assert blocks(document) == [
        "row: Town | Price",
        "row: Town | Price May | Price June",
        "row: Ulm | 4 | 5 <- Town & Price May & Price June",
        "row: Ulm | 6 | 7 <- Town & Price May & Price June",
        "row: Bread | Salt",
        "row: dear | dear <- Bread & Salt",
        "field: Weight: 3.4 kg <- Weight",
        "field: Bag: 2 l <- Bag",
    ]


def test_a_table_style_that_sets_the_first_row_off_makes_it_a_header():
    document = docx.Document()
    table = document.add_table(2, 2, "Light Grid Accent 1")
    for row, texts in enumerate((("Room", "Keeper"), ("Attic", "Ann"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text

    assert blocks(document) == ["row: Room | Keeper", "row: Attic | Ann <- Room & Keeper"]


def test_the_visible_text_of_a_word_document_is_read():
    body = (
        f"<w:sdt><w:sdtPr><w:alias/></w:sdtPr><w:sdtContent><w:p>{run('a form')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p>{run('kept ')}<w:ins>{run('new ')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        f"<w:moveFrom>{run('moved')}</w:moveFrom>"
        f"<w:hyperlink>{run('a link')}</w:hyperlink></w:p>"
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>A</w:t><w:noBreakHyphen/><w:t>4</w:t></w:r></w:p>"
        f"<w:p>{run('box: ')}<w:r><w:pict><w:txbxContent><w:p>{run('one')}</w:p><w:p>{run('two')}</w:p>"
        f"</w:txbxContent></w:pict></w:r>{run('whole')}</w:p>"
        f"<w:tbl><w:tr><w:tc><w:p>{run('out')}</w:p><w:tbl><w:tr><w:tc><w:p>{run('in')}</w:p></w:tc></w:tr></w:tbl>"
        f"</w:tc></w:tr></w:tbl><w:tbl><w:tr><w:tc><w:p>{run('a')}</w:p><w:p>{run('b')}</w:p><w:tbl><w:tr><w:tc>"
        f"<w:p>{run('c')}</w:p></w:tc></w:tr></w:tbl></w:tc><w:tc><w:p>{run('d')}</w:p></w:tc></w:tr></w:tbl>"
    )

    assert outline(read_word(word_of(body))) == [
        "paragraph: a form",
        "paragraph: kept new a link",
        "paragraph: A-4",
        "paragraph: box: whole",
        "paragraph: one",
        "paragraph: two",
        "paragraph: out",
        "paragraph: in",
        "field: a b c: d <- a b c",
    ]


def test_formulas_are_text():
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    part = "<m:r><m:t>{}</m:t></m:r>".format
    body = (
        f'<w:p xmlns:m="{math}">{run("Then ")}<m:oMath>'
        f"<m:sSup><m:e>{part('x')}</m:e><m:sup>{part('2')}</m:sup>"
        f"</m:sSup>{part('=')}<m:f><m:num>{part('a+b')}</m:num><m:den>{part('c')}</m:den></m:f></m:oMath></w:p>"
    )

    assert outline(read_word(word_of(body))) == ["paragraph: Then x^2=(a+b)/c"]


def test_notes_and_comments_stand_after_their_paragraph_and_page_headers_last():
    reference = '<w:r><w:{}Reference w:id="{}"/></w:r>'.format
    body = (
        f"<w:p>{run('War')}{reference('footnote', 2)}{run(' and')}{reference('comment', 0)}"
        f"{reference('endnote', 1)}</w:p>"
        f"{paragraph('Peace')}<w:tbl><w:tr><w:tc><w:p>{run('Ulm')}{reference('footnote', 3)}</w:p></w:tc>"
        f"<w:tc><w:p>{run('cold')}</w:p></w:tc></w:tr></w:tbl>"
    )
    content = with_parts(
        word_of(body),
        footnotes=f'<w:footnote w:id="2">{paragraph("Of 1812.")}{paragraph("And on.")}</w:footnote>'
        f'<w:footnote w:id="3">{paragraph("Now free.")}</w:footnote>',
        endnotes=f'<w:endnote w:id="1">{paragraph("The end.")}</w:endnote>',
        comments=f'<w:comment w:id="0" w:author="Ada">{paragraph("Sure?")}</w:comment>',
        header=paragraph("The Paper") + paragraph("Draft"),
        footer=paragraph("The Paper"),
    )

    assert outline(read_word(content)) == [
        "paragraph: War and",
        "footnote: Of 1812. And on.",
        "footnote: Ada: Sure?",
        "footnote: The end.",
        "paragraph: Peace",
        "field: Ulm: cold <- Ulm",
        "footnote: Now free.",
        "furniture: The Paper",
        "furniture: Draft",
    ]


def test_a_strict_document_is_read_like_any_other():
    document = docx.Document()
    document.add_heading("http://purl.oclc.org/ooxml/ is a name", 2)
    document.add_paragraph("Bread", "List Bullet")
    content = strict(word(document))

    assert outline(read_word(content)) == [
        "heading 2: http://purl.oclc.org/ooxml/ is a name",
        "item 1: - Bread",
    ]


def test_a_word_document_that_unpacks_to_too_much():
    zeros = {"zeros": b"0" * 200_000_001}
    assert reason(word_of("", more=zeros)).startswith("unpacks to 200,")
    many = {str(number): b"" for number in range(10_000)}
    assert reason(word_of("", more=many)).endswith(
        " bytes in 10,017 files, more than the 200,000,000 in 10,000 that are read"
    )


def test_an_encrypted_word_document():
    assert reason(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)) == (
        "is encrypted, or a .doc; save it as .docx without a password"
    )
