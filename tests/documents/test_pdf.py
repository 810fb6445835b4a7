"""What a PDF's text and blocks are: paragraphs, columns, tables, lists, and what stands around them."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from rag.documents.parsers.pdf import read_pdf
from rag.documents.parsers.pdf_blocks import arrange
from rag.documents.parsers.pdf_furniture import Page
from rag.documents.parsers.pdf_layout import Line
from rag.documents.parsers.pdf_words import Words
from tests.support.files import pdf

PROSE = (
    "The ferry to Ellersby leaves at six in the",
    "morning and comes back before the tide turns.",
    "It carries the mail, the milk and at most two",
    "passengers.",
)


def placed(*texts: tuple[float, float, str], size: int = 11) -> bytes:
    """The content of a page with each text where it says, from the left and from the bottom."""
    shown = "\n".join(
        f"BT /F1 {size} Tf {x} {y} Td ({text.replace('(', '[').replace(')', ']')}) Tj ET"
        for x, y, text in texts
    )
    return shown.encode("cp1252") + b"\n"


def lines(*texts: str, left: float = 60, top: float = 700, size: int = 11) -> bytes:
    """The content of a page with these lines, one under the other."""
    return placed(*((left, top - 14 * at, text) for at, text in enumerate(texts)), size=size)


def blocks(content: bytes) -> list[tuple[str, str]]:
    """The kind and text of each block, all of which together have all that the text has."""
    read = read_pdf(content)
    rest, end = "", 0
    for block in read.blocks:
        assert end <= block.start < block.end
        rest, end = rest + read.text[end : block.start], block.end
        for start, stop in block.header:
            assert 0 <= start <= stop <= len(read.text)
    assert (rest + read.text[end:]).strip() == ""
    assert len(read.pages) >= 1
    assert list(read.pages) == sorted(read.pages)
    return [(block.kind, read.text[block.start : block.end]) for block in read.blocks]


def headers(content: bytes) -> list[list[str]]:
    """The texts that say what each block is about."""
    read = read_pdf(content)
    return [[read.text[start:end] for start, end in block.header] for block in read.blocks]


# Paragraphs


def test_lines_that_read_on_are_one_paragraph():
    content = pdf(lines(*PROSE, "In winter it doesn't run, as the harbour is", "frozen from December on."))

    assert blocks(content) == [
        (
            "paragraph",
            "The ferry to Ellersby leaves at six in the morning and comes back before the tide turns. "
            "It carries the mail, the milk and at most two passengers.",
        ),
        ("paragraph", "In winter it doesn't run, as the harbour is frozen from December on."),
    ]


def test_a_gap_parts_paragraphs():
    content = pdf(placed((60, 700, "The mill was built in 1720 by two brothers"), (60, 660, "of the abbot.")))

    assert [text for _, text in blocks(content)] == [
        "The mill was built in 1720 by two brothers",
        "of the abbot.",
    ]


def test_short_lines_that_begin_with_capitals_stay_apart():
    content = pdf(lines("Mill House", "Ferry Lane", "The bakery is open from Tuesday to Saturday and sells"))

    assert [text for _, text in blocks(content)] == [
        "Mill House",
        "Ferry Lane",
        "The bakery is open from Tuesday to Saturday and sells",
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("The Euro-", "pean Union met."), "The European Union met."),
        (("He met Jean-", "Paul there."), "He met Jean-Paul there."),
        (("Open in 2016-", "17 only there."), "Open in 2016-17 only there."),
        (("A state-of-", "the art."), "A state-of-the art."),
    ],
)
def test_a_word_broken_at_the_end_of_a_line(texts, expected):
    assert read_pdf(pdf(lines(*texts))).text == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (["a long-term plan"], "long-term"),
        (["the longterm plan"], "longterm"),
        (["a long term plan"], "long-term"),
        (["a plan"], "longterm"),
        (["a long-term and a longterm plan, longterm"], "longterm"),
        (["a long-", "term plan"], "longterm"),
    ],
)
def test_the_document_says_how_a_broken_word_goes(document, expected):
    halves = [line("for the long-", 0), line("term", 1)]
    assert "".join(text for text, _ in Words(document).joined(halves)) == f"for the {expected}"


def line(text: str, order: int = 0) -> Line:
    return Line(text, 60, 700 - 14 * order, 60 + 6 * len(text), 711 - 14 * order, 20, 11, 702 - 14 * order)


# Columns and tables


def columns(left: tuple[str, ...], right: tuple[str, ...], *, woven: bool) -> bytes:
    first = [(60, 700 - 14 * at, text) for at, text in enumerate(left)]
    second = [(330, 700 - 14 * at, text) for at, text in enumerate(right)]
    order = [text for both in zip(first, second, strict=True) for text in both] if woven else first + second
    return placed(
        (60, 740, "News from the whole of the island, from the harbour to the hill and the north"), *order
    )


@pytest.mark.parametrize("woven", [False, True])
def test_columns_are_read_one_after_the_other(woven):
    right = (
        "The choir sings on Sunday in the old",
        "chapel, and whoever wants to hear it",
        "may come in.",
        "Bring a cup.",
    )
    texts = [text for _, text in blocks(pdf(columns(PROSE, right, woven=woven)))]

    assert texts == [
        "News from the whole of the island, from the harbour to the hill and the north",
        "The ferry to Ellersby leaves at six in the morning and comes back before the tide turns. It carries "
        "the mail, the milk and at most two passengers.",
        "The choir sings on Sunday in the old chapel, and whoever wants to hear it may come in.",
        "Bring a cup.",
    ]


TABLE = (
    ("Vessel", "Crew", "Tonnes"),
    ("Otter", "4", "31"),
    ("Grey Heron", "11", "240"),
    ("Curlew", "", "9"),
    ("Tern", "2", "7"),
    ("Whimbrel", "3", "8"),
)


def table(rows: tuple[tuple[str, ...], ...]) -> bytes:
    return placed(
        (60, 740, "Vessels of the harbour"),
        *(
            (60 + 110 * x, 700 - 18 * y, cell)
            for y, row in enumerate(rows)
            for x, cell in enumerate(row)
            if cell
        ),
    )


def test_cells_in_columns_are_a_table():
    assert blocks(pdf(table(TABLE))) == [
        ("paragraph", "Vessels of the harbour"),
        ("row", "Vessel | Crew | Tonnes"),
        ("row", "Otter | 4 | 31"),
        ("row", "Grey Heron | 11 | 240"),
        ("row", "Curlew |  | 9"),
        ("row", "Tern | 2 | 7"),
        ("row", "Whimbrel | 3 | 8"),
    ]
    assert headers(pdf(table(TABLE)))[1:] == [[], *[["Vessel", "Crew", "Tonnes"]] * 5]


def test_the_first_cell_labels_a_row_without_header():
    content = pdf(table((("Length", "31 m"), ("Beam", "8 m"), ("Draught", "3 m"))))

    assert blocks(content)[1:] == [("row", "Length | 31 m"), ("row", "Beam | 8 m"), ("row", "Draught | 3 m")]
    assert headers(content)[1:] == [["", "Length"], ["", "Beam"], ["", "Draught"]]


def test_two_rows_are_no_table():
    assert all(kind != "row" for kind, _ in blocks(pdf(table(TABLE[:2]))))


# Pages


def test_a_sentence_goes_on_over_the_furniture_between_pages():
    pages = (
        placed(
            (60, 770, "Annals of the mill"),
            (60, 700, "The wheel was turned by the brook, which dries up in most of the hot summers and"),
            (300, 40, "7"),
        ),
        placed(
            (60, 770, "Annals of the mill"),
            (60, 700, "was then moved by oxen."),
            (60, 670, "A new wheel came in 1803."),
            (300, 40, "8"),
        ),
    )
    read = read_pdf(pdf(*pages))

    assert blocks(pdf(*pages)) == [
        ("furniture", "Annals of the mill"),
        (
            "paragraph",
            "The wheel was turned by the brook, which dries up in most of the hot summers and was then moved "
            "by oxen.",
        ),
        ("furniture", "7"),
        ("furniture", "Annals of the mill"),
        ("paragraph", "A new wheel came in 1803."),
        ("furniture", "8"),
    ]
    assert read.pages == (0, read.text.index(" was then moved"))


def test_a_page_that_repeats_is_no_furniture():
    page = lines(
        "May 5", "To all whom it may concern:", "The bridge is closed.", "The mayor", "Ada Long", "Ely", "Ny"
    )

    assert all(kind == "paragraph" for kind, _ in blocks(pdf(page, page)))


def test_what_is_all_that_the_pages_have_is_no_furniture():
    assert blocks(pdf(lines("Mill"), lines("Mill"))) == [("paragraph", "Mill"), ("paragraph", "Mill")]


def test_an_empty_page_begins_with_the_next():
    read = read_pdf(pdf("War", "", "Bread"))

    assert (read.text, read.pages) == ("War\n\nBread", (0, 5, 5))


def test_a_footnote_is_apart():
    content = pdf(
        lines(*PROSE) + placed((60, 80, "1 Until the quay was built, the ferry landed on the beach."), size=8)
    )

    assert [kind for kind, _ in blocks(content)] == ["paragraph", "footnote"]


# Headings, lists, captions


def test_larger_lines_are_headings_by_their_size():
    content = pdf(
        placed((60, 740, "Ferries"), size=20)
        + placed((60, 716, "Times"), size=15)
        + lines(*PROSE)
        + placed((60, 630, "Where does it land?"), size=15)
        + placed((60, 610, "At the new quay."))
        + placed((60, 590, "Fares"), size=15)
        + placed((60, 570, "A crossing costs four shillings."))
    )
    read = read_pdf(content)

    assert [(block.kind, block.level) for block in read.blocks] == [
        ("heading", 1),
        ("heading", 2),
        ("paragraph", 0),
        ("question", 2),
        ("answer", 0),
        ("heading", 2),
        ("paragraph", 0),
    ]
    assert headers(content)[4] == ["Where does it land?"]


def test_items_have_what_leads_to_them():
    content = pdf(
        placed(
            (60, 700, "Bring to the crossing, which takes three hours in good weather and more in bad:"),
            (70, 686, "•"),
            (84, 686, "a coat that keeps out the spray, as the deck has no roof at all and the sea"),
            (84, 672, "is rough;"),
            (70, 658, "•"),
            (84, 658, "something to eat:"),
            (98, 644, "1. bread"),
            (98, 630, "2. cheese"),
            (70, 616, "•"),
            (84, 616, "a lamp."),
        )
    )
    read = read_pdf(content)

    assert [(block.kind, block.level, read.text[block.start : block.end]) for block in read.blocks] == [
        ("paragraph", 0, "Bring to the crossing, which takes three hours in good weather and more in bad:"),
        (
            "item",
            1,
            "• a coat that keeps out the spray, as the deck has no roof at all and the sea is rough;",
        ),
        ("item", 1, "• something to eat:"),
        ("item", 2, "1. bread"),
        ("item", 2, "2. cheese"),
        ("item", 1, "• a lamp."),
    ]
    lead_in = "Bring to the crossing, which takes three hours in good weather and more in bad:"
    assert headers(content) == [
        [],
        [lead_in],
        [lead_in],
        ["• something to eat:"],
        ["• something to eat:"],
        [lead_in],
    ]


def test_captions_and_lines_of_contents():
    content = pdf(
        placed(
            (60, 700, "Figure 3: The quay in 1901"),
            (60, 640, "The mill .............. 12"),
            (60, 626, "The quay .............. 14"),
        )
    )

    assert [kind for kind, _ in blocks(content)] == ["caption", "furniture", "furniture"]


# Forms, notes and scripts


def with_objects(content: bytes, page: bytes, catalog: bytes, *objects: bytes) -> bytes:
    """The PDF with more in its page and catalog, and more objects, from number 100."""
    added = b"".join(b"%d 0 obj\n%s\nendobj\n" % (100 + at, item) for at, item in enumerate(objects))
    content = content.replace(b"/Type /Page ", b"/Type /Page " + page + b" ")
    content = content.replace(b"/Type /Catalog ", b"/Type /Catalog " + catalog + b" ")
    return content.replace(b"xref\n", added + b"xref\n", 1)


def test_filled_in_fields_and_notes_stand_at_the_end_of_their_page():
    widget = b"<< /Type /Annot /Subtype /Widget /Rect [60 600 200 620] /P 7 0 R "
    content = with_objects(
        pdf("Membership", "Thank you."),
        b"",
        b"/AcroForm << /Fields [100 0 R 101 0 R 102 0 R] >>",
        widget + b"/FT /Tx /T (nm) /TU (Name:) /V (Ada Long) >>",
        widget + b"/FT /Tx /T (Town) >>",
        widget + b"/FT /Btn /T (Rower) /V /Yes /AS /Yes /AP << /N << /Yes null /Off null >> >> >>",
        b"<< /Type /Annot /Subtype /Text /Rect [60 500 80 520] /Contents (Paid\nin May) >>",
    ).replace(b"/Type /Page ", b"/Type /Page /Annots [100 0 R 101 0 R 102 0 R 103 0 R] ", 1)

    assert blocks(content) == [
        ("paragraph", "Membership"),
        ("field", "Name: Ada Long"),
        ("field", "Rower: Yes"),
        ("footnote", "Paid in May"),
        ("paragraph", "Thank you."),
    ]
    assert headers(content) == [[], ["Name"], ["Rower"], [], []]


def test_a_ligature_of_lam_and_alef_is_in_the_order_of_reading():
    # Its glyph stands for two letters, which PDFium turns around with the rest of the word.
    letters = {65: b"0645", 66: b"06440627", 67: b"0633"}
    codes = b" ".join(b"<%02x> <%s>" % letter for letter in letters.items())
    cmap = (
        b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange %d beginbfchar %s endbfchar endcmap"
        % (len(letters), codes)
    )
    content = pdf(b"BT /F1 12 Tf 72 720 Td (ABC) Tj ET").replace(
        b"/Encoding", b"/ToUnicode 100 0 R /Encoding"
    )
    stream = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap)

    assert read_pdf(with_objects(content, b"", b"", stream)).text == "سلام"


# Bad input


def test_turned_text_is_read_apart():
    content = pdf(lines(*PROSE) + b"BT /F1 11 Tf 0 1 -1 0 30 300 Tm (Draft of May) Tj ET")

    assert [text for _, text in blocks(content)][-1] == "Draft of May"


def test_a_page_that_is_turned_as_a_whole_has_paragraphs():
    turned = b"\n".join(
        b"BT /F1 11 Tf 0 1 -1 0 %d 60 Tm (%s) Tj ET" % (100 + 14 * at, text.encode())
        for at, text in enumerate(PROSE)
    )

    assert [kind for kind, _ in blocks(pdf(turned))] == ["paragraph"]


def test_lines_in_one_place_are_read_as_pdfium_has_them():
    texts = [f"Line {at} of the deed." for at in range(12)]
    content = pdf(placed(*((60, 700 + (at % 2) * 40, text) for at, text in enumerate(texts))))

    assert sorted("".join(text for _, text in blocks(content)).replace(" ", "")) == sorted(
        "".join(texts).replace(" ", "")
    )


def test_a_page_of_many_scattered_words_takes_linear_time():
    words = placed(*((at * 37 % 600, at * 61 % 780, "mill") for at in range(20_000)))

    assert read_pdf(pdf(words)).text.count("mill") > 10_000


spot = st.floats(-50, 700, allow_nan=False)
texts = st.sampled_from(
    ["mill", "The quay-", "1.", "• oak", "7", "Sea?", "a b c", "Fig. 2: x", "...... 4", "الا"]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(texts, spot, spot, st.floats(0, 300), st.floats(0, 40), st.booleans()), max_size=30
        ),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_is_lost_wherever_the_boxes_are(pages):
    made = [
        Page(
            number,
            [
                Line(
                    text,
                    x,
                    y,
                    x + width,
                    y + height,
                    width / 2,
                    height,
                    y,
                    bold,
                    bold,
                    number,
                    order,
                    order % 2 == 1,
                )
                for order, (text, x, y, width, height, bold) in enumerate(lines_of_page)
            ],
            (0, 0, 612, 792),
        )
        for number, lines_of_page in enumerate(pages)
    ]
    given_text = "".join(line.text for page in made for line in page.lines)
    text, found, starts = arrange(made)

    assert sorted(c for c in text if c not in " \n-|") == sorted(c for c in given_text if c not in " -|")
    assert list(starts) == sorted(starts)
    assert len(starts) == len(made)
    end = 0
    for block in found:
        assert text[end : block.start].strip() == ""
        assert end <= block.start < block.end <= len(text)
        end = block.end
    assert text[end:].strip() == ""
