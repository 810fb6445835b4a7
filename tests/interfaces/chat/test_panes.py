from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.index.excerpts import Opened
from rag.indexing.catalog import Listed
from rag.interfaces.chat import panes
from rag.interfaces.chat.panes import MAX_LISTED, documents_html, inside_html, source_html
from rag.types import Citation, Evidence, Match, Passage
from tests.support.chat_examples import (
    ANSWER,
    CITATION,
    DECLINED,
    PASSAGE,
    as_read,
    parsed,
    quoting,
    skeleton,
    text_of,
    texts_of,
)
from tests.support.texts import HOSTILE

TEXT = "x" * 100 + PASSAGE.text + "\r\n  wide.\n"
OPENED = Opened("a.txt", TEXT, 111, 134, changed=False, title=None, date=None, page=None, sha256="0" * 64)
GONE = Opened("a.txt", "", None, None, changed=True, title=None, date=None, page=None, sha256=None)
DOCUMENTS = (
    Listed("2016-05-12 news.md", "indexed", title="The War", date="2016-05-12", characters=18),
    Listed("b.txt", "changed", characters=22),
    Listed("c.txt", "gone", characters=19),
    Listed("empty.txt", "failed", "is empty"),
    Listed("new/Ärger.txt", "new"),
)


def source(opened: Opened, *, stale: bool = False) -> str:
    return source_html(opened, CITATION, PASSAGE, stale=stale)


def warnings(content: str) -> list[str]:
    return texts_of(content, "//p[@class='changed']")


def shown(documents, sought: str = "", *, read_only: bool = False) -> list[list[str]]:
    """The texts of the cells, row by row."""
    rows = parsed(documents_html(documents, sought, read_only=read_only)).xpath("//tbody/tr")
    return [[cell.text_content() for cell in row] for row in rows]


def test_the_whole_document_is_shown_with_the_quote_marked():
    content = source(OPENED)
    assert text_of(content, "//*[@class='text']") == as_read(TEXT)
    assert text_of(content, "//mark[@id='quote']") == "The river froze in May."
    assert text_of(content, "//h2") == "a.txt"
    assert text_of(content, "//*[@class='about']") == "characters 111-134"
    assert text_of(content, "//button") == "Back to the answer"
    assert warnings(content) == []
    assert texts_of(content, "//p[@class='hint']") == []


@given(st.text(), st.data())
def test_the_mark_is_the_quote_and_the_text_is_the_document(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    content = source(replace(OPENED, text=text, start=start, end=end))
    assert text_of(content, "//*[@class='text']") == as_read(text)
    assert texts_of(content, "//mark") == ([as_read(text[start:end])] if end > start else [])


def test_a_document_says_its_title_date_and_page():
    content = source(replace(OPENED, title="Rivers & <ice>", date="2016-05-12", page=3))
    assert text_of(content, "//*[@class='about']") == (
        "Rivers & <ice> · 2016-05-12 · page 3 · characters 111-134"
    )


def test_a_document_that_is_opened_without_a_quote_has_no_mark():
    opened = replace(OPENED, text="War. " * 1000, start=0, end=0)
    nothing = Citation(1, "a.txt", 0, 0, ""), Passage("a.txt", 0, 0, "", 0.0)
    content = source_html(opened, *nothing, stale=False)
    assert texts_of(content, "//mark") == []
    assert text_of(content, "//*[@class='about']") == "5,000 characters"
    assert text_of(content, "//*[@class='text']") == opened.text


def test_a_quote_that_stands_elsewhere_now_says_so():
    content = source(replace(OPENED, text=f"New. {TEXT}", start=116, end=139, changed=True))
    assert text_of(content, "//mark") == CITATION.quote
    assert text_of(content, "//*[@class='about']") == "characters 116-139"
    assert warnings(content) == [
        "This document has changed since the question was asked: the quote has moved."
    ]


def test_a_quote_that_is_gone_is_shown_as_it_was_above_the_document_now():
    content = source(replace(OPENED, text="Peace.", start=None, end=None, changed=True))
    assert texts_of(content, "//h3") == ["The passage when the question was asked", "The document now"]
    assert texts_of(content, "//*[@class='text']") == [PASSAGE.text, "Peace."]
    assert texts_of(content, "//mark") == [CITATION.quote]
    assert warnings(content) == [
        "This document has changed since the question was asked and no longer has the quote."
    ]


def test_a_document_that_is_gone_is_shown_as_it_was():
    content = source(GONE)
    assert texts_of(content, "//h3") == ["The passage when the question was asked"]
    assert texts_of(content, "//*[@class='text']") == [PASSAGE.text]
    assert text_of(content, "//*[@class='about']") == "characters 111-134"
    assert warnings(content) == ["This document is no longer indexed."]


def test_a_file_that_has_changed_since_it_was_indexed_is_told_of():
    assert warnings(source(OPENED, stale=True)) == ["The file has changed since it was indexed."]


def test_of_a_long_document_what_is_around_the_quote_is_shown():
    half = panes.MAX_SHOWN_CHARS // 2
    text = "a" * (half + 1_000) + CITATION.quote + "b" * (2 * half)
    start = half + 1_000
    content = source(replace(OPENED, text=text, start=start, end=start + 23))
    assert text_of(content, "//*[@class='text']") == text[1_000 : 1_000 + panes.MAX_SHOWN_CHARS]
    assert text_of(content, "//mark") == CITATION.quote
    assert texts_of(content, "//p[@class='hint']") == [
        "1,000 characters before this are not shown",
        "300,023 characters after this are not shown",
    ]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_window_has_the_quote_and_says_what_it_leaves_out(before, length, after):
    text = "a" * before + "q" * length + "b" * after
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panes, "MAX_SHOWN_CHARS", 20)
        content = source(replace(OPENED, text=text, start=before, end=before + length))
    left_out = [int(hint.partition(" ")[0]) for hint in texts_of(content, "//p[@class='hint']")]
    window = text_of(content, "//*[@class='text']")
    assert len(window) + sum(left_out) == len(text)
    assert window in text
    assert len(window) <= max(20, length + 10)
    assert texts_of(content, "//mark") == (["q" * length] if length else [])


def test_each_document_is_listed_with_its_state():
    assert shown(DOCUMENTS) == [
        ["2016-05-12 news.md\nThe War · 2016-05-12", "indexed", "Remove"],
        ["b.txt", "changed", "Remove"],
        ["c.txt", "gone", ""],
        ["empty.txt", "failed\nIt is empty", "Remove"],
        ["new/Ärger.txt", "new", "Remove"],
    ]
    content = parsed(documents_html(DOCUMENTS, "", read_only=False))
    assert content.xpath("//@data-open") == ["2016-05-12 news.md", "b.txt", "c.txt"]
    assert content.xpath("//@data-remove") == [
        "2016-05-12 news.md",
        "b.txt",
        "empty.txt",
        "new/Ärger.txt",
    ]
    assert content.xpath("//button[@data-remove]/@aria-label")[1] == "Remove b.txt"
    assert content.xpath("//span/@class") == [
        "unseen",
        "state indexed",
        "state changed",
        "state gone",
        "state failed",
        "reason",
        "state new",
    ]


def test_a_read_only_list_has_nothing_to_remove():
    assert {row[2] for row in shown(DOCUMENTS, read_only=True)} == {""}
    content = parsed(documents_html(DOCUMENTS, "", read_only=True))
    assert content.xpath("//@data-remove") == []
    assert len(content.xpath("//@data-open")) == 3


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ("NEWS", ["2016-05-12 news.md"]),
        ("the war", ["2016-05-12 news.md"]),
        (" war  news ", ["2016-05-12 news.md"]),
        ("ärger", ["new/Ärger.txt"]),
        (".txt", ["b.txt", "c.txt", "empty.txt", "new/Ärger.txt"]),
        ("   ", [one.source for one in DOCUMENTS]),
    ],
)
def test_documents_are_found_by_every_word_in_name_or_title(sought, found):
    assert [row[0].partition("\n")[0] for row in shown(DOCUMENTS, sought)] == found


def test_where_nothing_is_listed_it_says_why():
    assert text_of(documents_html((), "", read_only=False)) == "There are no documents."
    assert text_of(documents_html(DOCUMENTS, "peace", read_only=False)) == "No document has that name."
    assert text_of(documents_html((), "peace", read_only=False)) == "No document has that name."


def test_of_many_documents_the_first_are_listed():
    many = [Listed(f"{number:05}.txt", "new") for number in range(MAX_LISTED + 1234)]
    content = documents_html(many, "", read_only=False)
    assert [row[0] for row in shown(many)] == [one.source for one in many[:MAX_LISTED]]
    assert text_of(content, "//p[@class='hint']") == "and 1,234 more: search for them by name"
    assert texts_of(documents_html(many[:MAX_LISTED], "", read_only=False), "//p") == []
    assert shown(many, "01433") == [["01433.txt", "new", "Remove"]]


def table(content: str, caption: str) -> list[list[str]]:
    """The texts of the cells of the table with this caption, row by row."""
    rows = parsed(content).xpath(f"//table[caption='{caption}']/tbody/tr")
    return [[cell.text_content() for cell in row] for row in rows]


def facts(content: str) -> dict[str, str]:
    return dict(zip(texts_of(content, "//dt"), texts_of(content, "//dd"), strict=True))


def test_an_answer_shows_how_it_came_to_be():
    second = Passage("b.pdf", 0, 9, "Bread.", 0.25, Match(None, 0.125), None, page=3)
    answer = replace(
        ANSWER,
        taken_as="When did the river freeze?",
        confidence=0.876,
        passages=(replace(PASSAGE, dense=Match(1, 0.5), keyword=Match(2, 7.25)), second),
        evidence=(
            Evidence(1, "a.txt", 111, 134, CITATION.quote, 2.5, 1.25, shown=True),
            Evidence(2, "b.pdf", 0, 6, "Bread.", 0.5, None, shown=False),
            Evidence(2, "b.pdf", 0, 6, "Salt.", 0.25, -3.0, shown=False),
        ),
        timings={"retrieve": 0.25, "generate": 1.5},
        prompt_tokens=321,
    )
    content = inside_html(answer)
    assert facts(content) == {
        "Question": "When did it freeze?",
        "Taken to mean": "When did the river freeze?",
        "Confidence": "0.88",
        "Model": "queued",
        "Prompt": "321 tokens",
        "Result": "1 quote",
    }
    assert table(content, "Passages") == [
        ["1", "a.txt, 2016-05-12, characters 100-140", "0.750", "0.500, rank 1", "7.250, rank 2"],
        ["2", "b.pdf, page 3, characters 0-9", "0.250", "0.125, not ranked", "none"],
    ]
    assert table(content, "Evidence") == [
        ["1", CITATION.quote, "2.500", "+1.2", "yes"],
        ["2", "Bread.", "0.500", "not read", "no"],
        ["2", "Salt.", "0.250", "-3.0", "no"],
    ]
    assert table(content, "Seconds") == [["retrieve", "0.250"], ["generate", "1.500"]]
    assert texts_of(content, "//th") == [
        *("No.", "Document", "Score", "By meaning", "By words"),
        *("Passage", "Sentence", "Score", "Reader", "Prompt"),
        *("Stage", "Seconds"),
    ]


def test_an_abstention_shows_why():
    content = inside_html(replace(DECLINED, passages=()))
    assert facts(content) == {
        "Question": "When did it freeze?",
        "Taken to mean": "what it says",
        "Confidence": "0.50",
        "Model": "queued",
        "Prompt": "the model was not asked",
        "Result": "no quote: no sentence of the documents answers the question",
    }
    assert texts_of(content, "//caption") == ["Seconds"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_adds_a_tag_or_an_attribute(text):
    """Only what names a document says the text; all else is the HTML of "x"."""

    def everywhere(text: str) -> list[str]:
        answer = quoting(text, source=text)
        (citation,), (passage,) = answer.citations, answer.passages
        opened = replace(OPENED, source=text, title=text, date=text)
        return [
            source_html(
                replace(opened, text=passage.text, start=len(text) + 1, end=2 * len(text) + 1),
                citation,
                passage,
                stale=True,
            ),
            source_html(replace(opened, text=text, start=None, end=None), citation, passage, stale=False),
            documents_html(
                [
                    Listed(text, "changed", title=text, date=text, characters=1),
                    Listed(text, "failed", text),
                ],
                "",
                read_only=False,
            ),
            inside_html(
                replace(
                    answer,
                    question=text,
                    taken_as=text,
                    model=text,
                    abstained=text,
                    timings={text: 1.0},
                    evidence=(Evidence(1, text, 0, 1, text, 1.0, None, shown=True),),
                )
            ),
        ]

    expected = [
        (tag, {name: value.replace("\n", as_read(text)) for name, value in found.items()})
        for content in everywhere("\n")
        for tag, found in skeleton(content)
    ]
    assert [found for content in everywhere(text) for found in skeleton(content)] == expected


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_read_literally(text):
    read = as_read(text)
    answer = quoting(text, source=text)
    (citation,), (passage,) = answer.citations, answer.passages
    opened = replace(OPENED, source=text, title=text, text=passage.text)
    content = source_html(
        replace(opened, start=len(text) + 1, end=2 * len(text) + 1), citation, passage, stale=False
    )
    assert text_of(content, "//mark") == read
    assert text_of(content, "//*[@class='text']") == as_read(passage.text)
    assert text_of(content, "//h2") == read
    assert text_of(content, "//*[@class='about']").startswith(f"{read} · characters ")
    gone = source_html(replace(opened, text=text, start=None, end=None), citation, passage, stale=False)
    assert texts_of(gone, "//*[@class='text']") == [as_read(passage.text), read]
    assert shown([Listed(text, "failed", text, title=text)]) == [
        [f"{read}\n{read}", f"failed\nIt {read}", "Remove"]
    ]
    inside = inside_html(
        replace(answer, question=text, evidence=(Evidence(1, text, 0, 1, text, 1.0, None, shown=True),))
    )
    assert facts(inside)["Question"] == read
    assert table(inside, "Passages")[0][1] == f"{read}, characters {passage.start}-{passage.end}"
    assert table(inside, "Evidence")[0][1] == read
