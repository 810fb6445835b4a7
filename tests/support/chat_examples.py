"""Answers made by hand, and HTML read as a browser reads it."""

from collections.abc import Sequence
from dataclasses import replace

from lxml import html

from rag.types import Answer, Citation, Passage

PASSAGE = Passage("a.txt", 100, 140, "Snow fell. The river froze in May. It is", 0.75, date="2016-05-12")
CITATION = Citation(1, "a.txt", 111, 134, "The river froze in May.")
ANSWER = Answer(
    question="When did it freeze?",
    text="in May\n“The river froze in May.” [1]",
    short="in May",
    citations=(CITATION,),
    passages=(PASSAGE,),
    abstained=None,
    model="queued",
    timings={"retrieve": 0.25},
    confidence=0.5,
)
DECLINED = replace(
    ANSWER,
    text="The documents don't say.",
    short=None,
    citations=(),
    abstained="no sentence of the documents answers the question",
)


def quoting(text: str, source: str = "a.txt") -> Answer:
    """An answer that quotes the text, out of a passage that begins and ends with it."""
    whole = f"{text} {text} {text}"
    start = 7 + len(text) + 1
    citation = Citation(1, source, start, start + len(text), text)
    return replace(
        ANSWER,
        text=f"“{text}” [1]",
        short=None,
        citations=(citation,),
        passages=(Passage(source, 7, 7 + len(whole), whole, 0.75),),
    )


def as_read(text: str) -> str:
    """The text as HTML has it: one kind of line break, and something else for NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")


def parsed(content: str) -> html.HtmlElement:
    """The HTML as one element, with line breaks for `<br>`."""
    return html.fragment_fromstring(f"<main>{content}</main>".replace("<br>", "\n"))


def text_of(content: str, path: str = ".") -> str:
    """The text of the one element at the XPath."""
    (found,) = parsed(content).xpath(path)
    return found.text_content()


def texts_of(content: str, path: str) -> list[str]:
    """The texts of the elements at the XPath, in order."""
    return [found.text_content() for found in parsed(content).xpath(path)]


def skeleton(content: str) -> Sequence[tuple[str, dict[str, str]]]:
    """The tags, comments too, with their attributes, in order, but for line breaks."""
    return [(str(found.tag), dict(found.attrib)) for found in parsed(content).iter()]
