import pytest

from rag.documents.parsers.writer import NOWHERE, Cell, Writer
from rag.types import Block
from tests.support.outline import outline


def table(*rows: str, headers: int = 0) -> list[str]:
    """The blocks of a table of these rows; a cell "^" goes on from above, "*x*" is set as a label."""
    writer = Writer()
    writer.table(
        [
            [Cell(text.strip("*^"), label=text.startswith("*"), above=text == "^") for text in row.split("|")]
            for row in rows
        ],
        headers=headers,
    )
    return outline(writer.extract())


def test_blocks_are_parted_by_an_empty_line_and_those_of_a_list_or_table_by_none():
    writer = Writer()
    assert writer.add("heading", "War", level=1) == (0, 3)
    assert writer.paragraph(" Bread\r\nand\0 salt: ") == (5, 20)
    assert writer.add("item", "- dear", level=1, header=writer.lead_in()) == (22, 28)
    assert writer.add("item", "- dearer", level=1, header=[(5, 20)]) == (29, 37)
    assert writer.add("paragraph", " \n") == NOWHERE
    writer.table([[Cell("a"), Cell("b"), Cell("c")]])

    extract = writer.extract("War", "2017-04-03")

    assert extract.text == "War\n\nBread\nand salt:\n\n- dear\n- dearer\n\na | b | c"
    assert extract.blocks == (
        Block("heading", 0, 3, 1),
        Block("paragraph", 5, 20),
        Block("item", 22, 28, 1, ((5, 20),)),
        Block("item", 29, 37, 1, ((5, 20),)),
        Block("row", 39, 48, 0, (NOWHERE, NOWHERE, NOWHERE)),
    )
    assert (extract.title, extract.date) == ("War", "2017-04-03")


def test_a_text_that_has_its_blocks_is_moved_with_their_headers():
    writer = Writer()
    writer.add("metadata", "Subject: War")
    writer.append("a:\n- b", [Block("paragraph", 0, 2), Block("item", 3, 6, 1, ((0, 2), NOWHERE))])
    writer.append(" \n", [])
    writer.add("metadata", "Subject: Bread")

    assert writer.extract().text == "Subject: War\n\na:\n- b\n\nSubject: Bread"
    assert outline(writer.extract()) == [
        "metadata: Subject: War",
        "paragraph: a:",
        "item 1: - b <- a: & ",
        "metadata: Subject: Bread",
    ]


def test_what_stands_under_a_question_is_its_answer_until_the_next_heading():
    writer = Writer()
    writer.heading("Why did the river freeze?", 2)
    writer.paragraph("It was cold.")
    writer.paragraph("Very cold.")
    writer.heading("Bread", 2)
    writer.paragraph("Was it dear?")
    writer.paragraph("Was salt dear?", bold=True)
    writer.paragraph("Dearer still.")
    writer.paragraph("Q: And sugar?")
    writer.paragraph("A: There was none.")

    assert outline(writer.extract()) == [
        "question 2: Why did the river freeze?",
        "answer: It was cold. <- Why did the river freeze?",
        "answer: Very cold. <- Why did the river freeze?",
        "heading 2: Bread",
        "paragraph: Was it dear?",
        "question: Was salt dear?",
        "answer: Dearer still. <- Was salt dear?",
        "question: Q: And sugar?",
        "answer: A: There was none. <- Q: And sugar?",
    ]


def test_a_paragraph_that_begins_with_a_bullet_is_an_item():
    writer = Writer()
    for text in ("Bring:", "• bread", "• salt"):
        writer.paragraph(text)

    assert outline(writer.extract()) == [
        "paragraph: Bring:",
        "item 1: • bread <- Bring:",
        "item 1: • salt <- Bring:",
    ]


def test_lines_that_begin_with_a_mark_are_items():
    writer = Writer()
    assert writer.paragraph("Bring:\n- bread\n- salt\nAnd come early.") == (24, 39)
    writer.paragraph("It was cold - very cold\n- and dark.")
    writer.paragraph("1. Run\n2) Eat")

    assert outline(writer.extract()) == [
        "paragraph: Bring:",
        "item 1: - bread <- Bring:",
        "item 1: - salt <- Bring:",
        "paragraph: And come early.",
        "paragraph: It was cold - very cold\n- and dark.",
        "item 1: 1. Run <- It was cold - very cold\n- and dark.",
        "item 1: 2) Eat <- It was cold - very cold\n- and dark.",
    ]


def test_code_keeps_its_indent_and_has_what_leads_to_it():
    writer = Writer()
    writer.paragraph("Run:")
    writer.code("\n  if war:\n\n    flee()\n\n")
    writer.code("eat()")

    assert outline(writer.extract()) == [
        "paragraph: Run:",
        "code:   if war:\n\n    flee() <- Run:",
        "code: eat()",
    ]


@pytest.mark.parametrize(
    ("rows", "headers", "expected"),
    [
        (
            ["Year|Bread", "1812|dear", "1813|"],
            1,
            ["row: Year | Bread", "row: 1812 | dear <- Year & Bread", "row: 1813 | <- Year & Bread"],
        ),
        # All of the first row is set off, and the second is not.
        (["*Bread*|*Salt*", "dear|dearer"], 0, ["row: Bread | Salt", "row: dear | dearer <- Bread & Salt"]),
        (["|*Salt*", "*Ulm*|dear"], 0, ["row: | Salt", "row: Ulm | dear <-  & Salt"]),
        # Three columns and more have names; two only where the values are alike.
        (
            [
                "Town|Bread|2013",
                "Ulm|dear|9",
            ],
            0,
            [
                "row: Town | Bread | 2013",
                "row: Ulm | dear | 9 <- Town & Bread & 2013",
            ],
        ),
        (["Ulm|1|2", "Bonn|3|4"], 0, ["row: Ulm | 1 | 2 <-  &  & ", "row: Bonn | 3 | 4 <-  &  & "]),
        (
            ["Town|Price", "Ulm|4 euros", "Bonn|5.50 euros"],
            0,
            [
                "row: Town | Price",
                "row: Ulm | 4 euros <- Town & Price",
                "row: Bonn | 5.50 euros <- Town & Price",
            ],
        ),
        (
            ["Colour:|red", "Weight|3 kg", "Length|2 m"],
            0,
            ["field: Colour: red <- Colour", "field: Weight: 3 kg <- Weight", "field: Length: 2 m <- Length"],
        ),
        (["*Ulm*|3", "*Bonn*|4"], 0, ["field: Ulm: 3 <- Ulm", "field: Bonn: 4 <- Bonn"]),
        (["Is it cold?|Yes."], 0, ["question: Is it cold?", "answer: Yes. <- Is it cold?"]),
        # A cell that goes on is repeated.
        (
            ["*Year*|*Month*|*Dead*", "1812|May|5", "^|June|6"],
            1,
            [
                "row: Year | Month | Dead",
                "row: 1812 | May | 5 <- Year & Month & Dead",
                "row: 1812 | June | 6 <- Year & Month & Dead",
            ],
        ),
        # No table, but what is laid out in one.
        (
            [
                "The river froze.",
                "|Bread was dear.",
            ],
            0,
            [
                "paragraph: The river froze.",
                "paragraph: Bread was dear.",
            ],
        ),
        (["|", ""], 0, []),
    ],
)
def test_the_rows_of_a_table(rows, headers, expected):
    assert table(*rows, headers=headers) == expected


def test_a_cell_that_spans_columns_is_the_header_of_each_and_stands_before_the_names_under_it():
    writer = Writer()
    writer.table(
        [
            [Cell("Town"), Cell("Price", 2)],
            [Cell("", above=True), Cell("May"), Cell("June")],
            [Cell("Ulm"), Cell("4"), Cell("5")],
            [Cell("Bonn"), Cell("6", 2)],
        ],
        headers=2,
    )

    assert outline(writer.extract()) == [
        "row: Town | Price",
        "row: Town | Price May | Price June",
        "row: Ulm | 4 | 5 <- Town & Price May & Price June",
        "row: Bonn | 6 <- Town & Price May",
    ]


def test_what_merged_cells_repeat_is_limited():
    writer = Writer()
    long = "x" * 600_000
    rows = [
        [Cell(f"{number}"), Cell(long if not number else "", above=number > 0), Cell("y")]
        for number in range(4)
    ]
    writer.table(rows)

    assert len(writer.extract().text) == 3 * 600_000 + len("0 |  | y\n") * 4 - 1
