import json
import string
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.errors import QuestionError
from rag.interfaces.chat import conversation as conversations
from rag.interfaces.chat.conversation import (
    Conversation,
    Turn,
    continued,
    cut,
    markdown,
    read_record,
    record,
    renamed,
)
from rag.types import Answer, Citation, Evidence, Match, Passage
from tests.support.chat_examples import ANSWER, DECLINED, PASSAGE, quoting
from tests.support.texts import HOSTILE

ID = "0123456789abcdef" * 2
STOPPED = Turn("And why?", None, "Stopped.")
DAMAGED = "This conversation can't be read: it is damaged. Delete it."

floats = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 1_000_000)
matches = st.none() | st.builds(Match, rank=st.none() | counts, score=floats)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    passages = []
    for text in draw(st.lists(st.text(min_size=1), min_size=1, max_size=3)):
        start = draw(counts)
        source, copies = draw(st.text(min_size=1)), draw(st.lists(st.text(), max_size=2))
        passage = Passage(source, start, start + len(text), text, draw(floats), draw(matches), draw(matches))
        passages.append(replace(passage, page=draw(st.none() | counts), copies=tuple(copies)))
    citations = []
    for label in draw(st.lists(st.integers(1, len(passages)), max_size=3)):
        passage = passages[label - 1]
        first = draw(st.integers(0, len(passage.text) - 1))
        last = draw(st.integers(first + 1, len(passage.text)))
        place = passage.start + first, passage.start + last
        citations.append(Citation(label, passage.source, *place, passage.text[first:last], passage.page))
    evidence = st.builds(Evidence, label=counts, start=counts, end=counts, score=floats, odds=floats)
    return Answer(
        question=draw(st.text()),
        text=draw(st.text()),
        short=draw(st.none() | st.text()),
        citations=tuple(citations),
        passages=tuple(passages),
        abstained=draw(st.none() | st.text()),
        model=draw(st.text()),
        timings=draw(st.dictionaries(st.text(), floats, max_size=2)),
        confidence=draw(floats),
        taken_as=draw(st.none() | st.text()),
        left_out=draw(counts),
        dropped=draw(counts),
        evidence=tuple(draw(st.lists(evidence, max_size=2))),
        prompt_tokens=draw(counts),
    )


turns = st.builds(
    Turn,
    question=st.text(),
    answer=st.none() | answers(),
    note=st.text(),
    rating=st.sampled_from(["up", "down", None]),
)


def held(*turns: Turn) -> Conversation:
    return reduce(continued, turns, Conversation(ID, "", ()))


def changed(**answer: object) -> str:
    """A record of one turn, with something else in its answer."""
    kept = json.loads(record(held(Turn(ANSWER.question, ANSWER))))
    kept["turns"][0]["answer"] |= answer
    return json.dumps(kept)


def cited(**citation: object) -> str:
    """A record of one turn, with something else in its citation."""
    (found,) = json.loads(changed())["turns"][0]["answer"]["citations"]
    return changed(citations=[found | citation])


@given(st.lists(turns, max_size=3))
def test_what_is_recorded_is_read_again(found):
    conversation = held(*found)
    assert read_record(record(conversation)) == conversation


def test_a_record_is_json_with_the_place_and_quote_of_each_citation():
    kept = json.loads(record(held(Turn("When?", ANSWER, rating="up"), STOPPED)))
    assert (kept["id"], kept["title"]) == (ID, "When?")
    (citation,) = kept["turns"][0]["answer"]["citations"]
    assert citation == {
        "label": 1,
        "source": "a.txt",
        "start": 111,
        "end": 134,
        "quote": "The river froze in May.",
        "page": None,
        "copies": [],
        "context": "",
    }
    assert kept["turns"][0]["answer"]["passages"][0]["text"] == PASSAGE.text
    assert kept["turns"][0]["rating"] == "up"
    assert kept["turns"][1] == {"question": "And why?", "answer": None, "note": "Stopped.", "rating": None}


def test_a_record_from_before_quotes_had_a_context_is_read():
    kept = json.loads(record(held(Turn(ANSWER.question, ANSWER))))
    del kept["turns"][0]["answer"]["citations"][0]["context"]
    assert read_record(json.dumps(kept)) == held(Turn(ANSWER.question, ANSWER))


def test_the_examples_of_damage_are_damaged_by_what_they_change_alone():
    assert read_record(changed()) == read_record(cited()) == held(Turn(ANSWER.question, ANSWER))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\ud800",
        "[" * 100_000,
        '{"id":' * 5_000,
        json.dumps({"id": ID, "title": "x", "turns": [{}]}),
        json.dumps({"id": ID, "title": 1, "turns": []}),
        json.dumps({"id": ID, "title": "x", "turns": {"question": "x"}}),
        json.dumps({"id": ID[1:], "title": "x", "turns": []}),
        json.dumps({"id": ID.upper(), "title": "x", "turns": []}),
        json.dumps({"id": f"{ID}\n", "title": "x", "turns": []}),
        json.dumps({"id": f"../{ID}", "title": "x", "turns": []}),
        json.dumps({"id": ID, "title": "x", "turns": [{"question": "x", "answer": None, "rating": "best"}]}),
        changed(citations="none"),
        changed(passages=[]),
        changed(timings=[1]),
        changed(confidence="sure"),
        changed(text=None),
        cited(label=0),
        cited(label=-1),
        cited(label=2),
        cited(label=10**100),
        cited(label="first"),
        cited(quote="The river froze in June."),
        cited(quote=""),
        cited(quote="", end=111),
        cited(start=112),
        cited(start=-29, end=-6),
        cited(start=10**100, end=10**100 + 23),
        cited(start=11, end=34),
        cited(end=135),
        cited(source="b.txt"),
        cited(source=None),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(QuestionError) as refused:
        read_record(text)
    assert str(refused.value) == DAMAGED


@pytest.mark.parametrize(
    ("citation", "passage"),
    [
        ({"quote": PASSAGE.text[:-6], "start": 100, "end": 94}, {}),  # an end counted from the end
        ({"quote": PASSAGE.text, "start": 100, "end": 999}, {}),  # an end beyond the passage
        ({"start": -89, "end": -66}, {"start": -100}),
    ],
)
def test_offsets_that_are_no_place_are_refused_though_the_slice_is_the_quote(citation, passage):
    kept = json.loads(cited(**citation))
    kept["turns"][0]["answer"]["passages"][0] |= passage
    with pytest.raises(QuestionError, match="damaged"):
        read_record(json.dumps(kept))


def test_a_record_that_is_too_long_is_refused(monkeypatch):
    text = record(held(STOPPED))
    monkeypatch.setattr(conversations, "MAX_RECORD_CHARS", len(text))
    assert read_record(text) == held(STOPPED)
    with pytest.raises(QuestionError, match="damaged"):
        read_record(f"{text} ")


def test_the_first_question_is_the_title_until_there_is_another():
    first = continued(Conversation(), Turn(" When \n did\tit? ", None, "x"))
    assert first.title == "When did it?"
    second = continued(first, STOPPED)
    assert second.title == "When did it?"
    assert [turn.question for turn in second.turns] == [" When \n did\tit? ", "And why?"]
    assert continued(renamed(first, "Rivers"), STOPPED).title == "Rivers"


def test_a_title_is_one_line_of_at_most_80_characters():
    assert renamed(Conversation(), f" a\n{'b' * 100}").title == f"a {'b' * 78}"
    assert continued(Conversation(), Turn(f"{'a' * 79} b", None)).title == "a" * 79
    kept = json.dumps({"id": ID, "title": f" a\n{'b' * 100}", "turns": []})
    assert read_record(kept).title == f"a {'b' * 78}"


@pytest.mark.parametrize("title", ["", " \n\t"])
def test_a_title_has_letters(title):
    with pytest.raises(QuestionError, match=r"^The title is empty\. Type one\.$"):
        renamed(Conversation(), title)


def test_the_history_is_what_was_answered():
    conversation = held(Turn("When?", ANSWER), STOPPED, Turn("Where?", DECLINED))
    assert conversation.history() == [("When?", ANSWER.text), ("Where?", "The documents don't say.")]
    assert [conversation.answer(number) for number in (-1, 0, 1, 2, 3)] == [
        None,
        ANSWER,
        None,
        DECLINED,
        None,
    ]


def test_a_conversation_gets_an_id_of_its_own_with_its_first_turn():
    first, second = continued(Conversation(), STOPPED), continued(Conversation(), STOPPED)
    assert Conversation().id == ""
    assert first.id != second.id
    assert continued(first, STOPPED).id == first.id
    assert read_record(record(first)) == first


def test_the_markdown_of_an_answer_an_abstention_and_a_stopped_turn():
    noted = replace(ANSWER, taken_as="When did *it* freeze?")
    assert markdown(held(Turn("When did\nit freeze?", noted), Turn("Where?", DECLINED), STOPPED)) == (
        "# When did it freeze?\n"
        "\n"
        "## When did it freeze?\n"
        "\n"
        "> in May\n"
        ">\n"
        "> “The river froze in May.” \\[1\\]\n"
        "\n"
        "- \\[1\\] a.txt, 2016-05-12, characters 111-134: “The river froze in May.”\n"
        "- Taken to mean: When did \\*it\\* freeze?\n"
        "\n"
        "## Where?\n"
        "\n"
        "> The documents don't say.\n"
        "\n"
        "No quote, because no sentence of the documents answers the question.\n"
        "\n"
        "## And why?\n"
        "\n"
        "Stopped.\n"
    )


def tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def flat(text: str) -> str:
    return " ".join(text.split()).replace("\0", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_markup_in_the_markdown(text):
    found = tokens(
        markdown(
            Conversation(ID, text, (Turn(text, quoting(text, source=text)), Turn("Why?", None, text))),
        )
    )
    inline = [token for token in found if token.type == "inline"]
    title, question, *quote, source, _, note = [token.content for token in inline]
    read = ["".join(child.content for child in token.children or ()) for token in inline]

    assert {child.type for token in inline for child in token.children or ()} == {"text"}
    assert [token.type for token in found if token.nesting == 1 and token.type != "paragraph_open"] == [
        "heading_open",
        "heading_open",
        "blockquote_open",
        "bullet_list_open",
        "list_item_open",
        "heading_open",
    ]
    assert not [token.type for token in found if token.nesting == 0 and token.type != "inline"]
    assert len(quote) == sum(1 for line in f"“{text}” [1]".splitlines() if line.strip())
    assert read[:2] == [flat(text)] * 2
    assert " ".join(read[2:-3]) == flat(f"“{text}” [1]")
    place = quoting(text).citations[0]
    where = flat(f"{text}, characters {place.start}-{place.end}")
    assert read[-3] == f"[1] {where}: “{flat(text)}”"
    assert read[-1] == flat(text)
    assert not [line for line in (title, question, *quote, source, note) if "$" in _unescaped(line)]


@given(st.text(alphabet=string.printable + "“”é\u2028\u3000", min_size=1).filter(str.strip))
def test_whatever_stands_in_a_line_of_markdown_is_read_as_it_is(text):
    (_, inline, _) = tokens(markdown(Conversation(ID, "x", (Turn("x", None, text),))))[6:]
    assert "".join(child.content for child in inline.children or ()) == flat(text)


def _unescaped(line: str) -> str:
    """The characters that no backslash stands before."""
    found, escaped = "", False
    for character in line:
        if not escaped and character != "\\":
            found += character
        escaped = character == "\\" and not escaped
    return found


def test_a_title_goes_with_the_question_that_gave_it_and_one_that_was_given_stays():
    asked = continued(
        continued(Conversation(), Turn("Who?", None, "Stopped.")), Turn("Why?", None, "Stopped.")
    )

    assert (cut(asked, 0).title, cut(asked, 1).title, cut(asked, None)) == ("", "Who?", asked)
    assert cut(asked, 0).id == asked.id
    assert cut(renamed(asked, "Mine"), 0).title == "Mine"
