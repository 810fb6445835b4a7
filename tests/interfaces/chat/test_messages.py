from dataclasses import replace

import pytest

from rag.interfaces.chat.conversation import Turn
from rag.interfaces.chat.messages import growing_html, note_html, question_html, turn_html
from rag.interfaces.rendering import CONTEXT_CHARS
from rag.types import Citation, Passage
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

SECOND = Passage("b.pdf", 0, 16, "Bread was dear. ", 0.5, page=3)
TWICE = replace(
    ANSWER,
    text="in May\nIt froze late: “The river froze in May.” [1]\n“Bread was dear.” [2]",
    citations=(CITATION, Citation(2, "b.pdf", 0, 15, "Bread was dear.", 3)),
    passages=(PASSAGE, SECOND),
)


def buttons(content: str) -> dict[str, str]:
    """What each button says, by its value."""
    return {found.get("value"): found.text_content() for found in parsed(content).xpath("//button")}


def links(content: str) -> list[str]:
    return [found.get("href") for found in parsed(content).xpath("//a")]


def tip(before: str, quote: str, after: str) -> str:
    """What pointing at a citation shows, but for the place."""
    text, start = before + quote + after, len(before)
    passage = Passage("a.txt", 0, len(text), text, 0.5)
    answer = replace(
        ANSWER,
        text=f"“{quote}” [1]",
        short=None,
        citations=(Citation(1, "a.txt", start, start + len(quote), quote),),
        passages=(passage,),
    )
    content = turn_html(0, Turn("When?", answer))
    assert text_of(content, "//mark") == quote
    return text_of(content, "//*[@class='tip']").partition("\n")[2]


def test_a_question_can_be_edited():
    content = question_html(3, "When did *it*\nfreeze?")
    assert text_of(content, "//p[@class='asked']") == "When did *it*\nfreeze?"
    assert buttons(content) == {"edit-3": "Edit"}


def test_a_note_is_text():
    assert note_html("Reading <b>…") == '<p class="note">Reading &#60;b&#62;&#8230;</p>'


def test_an_answer_has_its_short_answer_quotes_and_sources():
    content = turn_html(4, Turn("When?", TWICE))

    assert texts_of(content, "//*[@class='answer']/p[@class='short']") == ["in May"]
    for hidden in (quotes := parsed(content)).xpath("//*[@class='tip']"):
        hidden.drop_tree()
    assert [found.text_content() for found in quotes.xpath("//p[@class='quote']")] == [
        "It froze late: “The river froze in May.” [1]",
        "“Bread was dear.” [2]",
    ]
    assert texts_of(content, "//ul[@class='sources']/li") == [
        "[1] a.txt, 2016-05-12, characters 111-134",
        "[2] b.pdf, page 3, characters 0-15",
    ]
    assert links(content) == ["#cite-4-0", "#cite-4-1", "#cite-4-0", "#cite-4-1"]
    assert texts_of(content, "//*[@class='tip']/b") == [
        "a.txt, 2016-05-12, characters 111-134",
        "b.pdf, page 3, characters 0-15",
    ]
    assert texts_of(content, "//mark") == ["The river froze in May.", "Bread was dear."]
    assert texts_of(content, "//*[contains(@class, 'changed')]") == []


def test_pointing_at_a_citation_shows_the_quote_in_its_surroundings():
    assert tip("Snow fell.\n", "It froze.", " It is") == "Snow fell.\nIt froze. It is"
    words = "word " * 100
    kept = ("word " * 31).strip()
    assert tip(words, "It froze.", f" {words}") == f"…{'word ' * 31}It froze. {kept}…"


def test_surroundings_without_spaces_are_shown_too():
    assert tip("文" * 200, "引用。", "字" * 200) == f"…{'文' * CONTEXT_CHARS}引用。{'字' * CONTEXT_CHARS}…"
    assert tip(f"{'文' * 200} ", "引用。", "") == f"…{'文' * (CONTEXT_CHARS - 1)} 引用。"


def test_a_quote_whose_document_has_changed_says_so():
    content = turn_html(0, Turn("When?", TWICE), {TWICE.citations[1]})
    assert texts_of(content, "//li") == [
        "[1] a.txt, 2016-05-12, characters 111-134",
        "[2] b.pdf, page 3, characters 0-15 changed since; showing the original quote",
    ]


def test_what_was_meant_stands_first_and_other_notes_after_the_sources():
    answer = replace(ANSWER, taken_as="When did the river freeze?", left_out=1, dropped=2)
    (whole,) = parsed(turn_html(0, Turn("When?", answer)))
    assert [(found.tag, found.get("class")) for found in whole] == [
        ("p", "note"),
        ("p", "short"),
        ("p", "quote"),
        ("ul", "sources"),
        ("p", "note"),
        ("p", "note"),
        ("p", "actions"),
    ]
    assert texts_of(turn_html(0, Turn("When?", answer)), "//p[@class='note']") == [
        "Taken to mean: When did the river freeze?",
        "1 sentence did not fit the model's context.",
        "Removed 2 sentences written by the model: not supported by their quotes.",
    ]
    first, *_ = parsed(turn_html(0, Turn("When?", replace(answer, taken_as=None))))[0]
    assert first.get("class") == "short", "other notes don't stand first"


def test_an_abstention_says_why_and_offers_the_nearest_passages():
    content = turn_html(2, Turn("Where?", replace(DECLINED, passages=(PASSAGE, SECOND))))

    assert text_of(content, "//div[@class='answer declined']/p[@class='refusal']") == (
        "The documents don't say."
    )
    assert texts_of(content, "//p[@class='note']") == [
        "No quote, because no sentence of the documents answers the question.",
        "Nearest passages:",
    ]
    assert links(content) == ["#passage-2-0", "#passage-2-1"]
    assert texts_of(content, "//ol[@class='passages']/li") == [
        "a.txt, 2016-05-12, characters 100-140\nSnow fell. The river froze in May. It is",
        "b.pdf, page 3, characters 0-16\nBread was dear.",
    ]
    assert buttons(content) == {
        "copy-2": "Copy",
        "inside-2": "Look inside",
        "up-2": "Right",
        "down-2": "Wrong",
    }
    assert "Nearest" not in turn_html(0, Turn("Where?", replace(DECLINED, passages=())))


def test_a_turn_without_an_answer_says_why():
    content = turn_html(1, Turn("Where?", None, "The question is <empty>."))
    assert skeleton(content)[1:] == [("div", {"class": "answer failed"}), ("p", {"class": "error"})]
    assert text_of(content) == "The question is <empty>."
    assert buttons(content) == {}
    assert buttons(turn_html(1, Turn("Where?", None, "Stopped."), last=True)) == {"again-1": "Ask again"}


@pytest.mark.parametrize(
    ("rating", "up", "down"),
    [
        (None, ("Right", "action"), ("Wrong", "action")),
        ("up", ("Right ✓", "action pressed"), ("Wrong", "action")),
        ("down", ("Right", "action"), ("Wrong ✓", "action pressed")),
    ],
)
def test_the_rating_that_was_given_is_pressed(rating, up, down):
    content = turn_html(0, Turn("When?", ANSWER, rating=rating))
    classes = {found.get("value"): found.get("class") for found in parsed(content).xpath("//button")}
    assert (buttons(content)["up-0"], classes["up-0"]) == up
    assert (buttons(content)["down-0"], classes["down-0"]) == down


def test_only_the_last_question_can_be_asked_again():
    assert "again-0" not in buttons(turn_html(0, Turn("When?", ANSWER)))
    assert buttons(turn_html(0, Turn("When?", ANSWER), last=True))["again-0"] == "Ask again"
    assert buttons(turn_html(0, Turn("When?", DECLINED), last=True))["again-0"] == "Ask again"


def test_an_answer_grows():
    content = growing_html(5, "“The river", (PASSAGE, SECOND))
    assert text_of(content, "//div[@class='answer growing']/p[@class='quote']") == "“The river"
    assert text_of(content, "//p[@class='note']") == "Reading 2 passages…"
    assert links(content) == ["#passage-5-0", "#passage-5-1"]
    assert text_of(growing_html(5, "", (PASSAGE,)), "//p") == "Reading 1 passage…"
    assert links(growing_html(5, "", ())) == []


def test_an_answer_that_waits_says_for_how_many():
    assert text_of(growing_html(0, "", (), 1), "//p") == "Waiting: 1 question is ahead of yours."
    content = growing_html(0, "", (PASSAGE,), 2)
    assert text_of(content, "//p") == "Waiting: 2 questions are ahead of yours."
    assert links(content) == ["#passage-0-0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_adds_a_tag_or_an_attribute(text):
    """Whatever comes from outside says `text`, and the HTML is that of "x" but for line breaks."""

    def everywhere(text: str) -> list[str]:
        answer = replace(
            quoting(text, source=text), short=text, text=f"{text}\n{text} “{text}” [1]", taken_as=text
        )
        copied = replace(answer.citations[0], copies=(text,))
        declined = replace(answer, citations=(), abstained=text, text=text)
        return [
            question_html(0, text),
            note_html(text),
            growing_html(0, text, answer.passages),
            turn_html(0, Turn(text, answer), answer.citations, last=True),
            turn_html(0, Turn(text, replace(answer, citations=(copied,)))),
            turn_html(0, Turn(text, declined)),
            turn_html(0, Turn(text, None, text)),
        ]

    assert [skeleton(content) for content in everywhere(text)] == [
        skeleton(content) for content in everywhere("x")
    ]
    assert not [content for content in everywhere(text) if "\n" in content], "Markdown reads lines"


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_read_literally(text):
    read = as_read(text)
    answer = quoting(text, source=text)
    content = turn_html(0, Turn(text, replace(answer, taken_as=text)))
    start, end = answer.citations[0].start, answer.citations[0].end

    assert text_of(question_html(0, text), "//p[@class='asked']") == read
    assert text_of(note_html(text)) == read
    assert text_of(growing_html(0, text, ()), "//p[@class='quote']") == read
    assert text_of(turn_html(0, Turn("x", None, text)), "//p[@class='error']") == read
    assert text_of(content, "//mark") == read
    assert text_of(content, "//p[@class='note']") == f"Taken to mean: {read}"
    assert text_of(content, "//p[@class='quote']").startswith(f"“{read}” [1]{read}, characters ")
    assert text_of(content, "//ul[@class='sources']") == f"[1] {read}, characters {start}-{end}"
    declined = turn_html(0, Turn(text, replace(answer, citations=(), text=text, abstained=text)))
    assert text_of(declined, "//p[@class='refusal']") == read
    assert texts_of(declined, "//p[@class='note']")[0] == f"No quote, because {read}."
    (passage,) = answer.passages
    assert text_of(declined, "//ol//a") == f"{read}, characters {passage.start}-{passage.end}"
