"""What happens in the chat, over the seed articles with the embedded models where it answers."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.engine import Engine
from rag.errors import QuestionError
from rag.interfaces.chat import session as chat
from rag.interfaces.chat.conversation import Conversation, Turn, read_record, record
from rag.interfaces.chat.messages import note_html, question_html, turn_html
from rag.interfaces.chat.session import Limits, Messages, Session, messages, replies
from rag.interfaces.lifecycle import Preparation
from rag.settings import Settings, resolve
from rag.types import Event, Passage
from tests.support import PATIENCE_S
from tests.support.chat_examples import ANSWER, DECLINED, PASSAGE, skeleton, text_of, texts_of

ID = "0123456789abcdef" * 2
FIRST = Turn("When did it freeze?", ANSWER)
SECOND = Turn("Where?", DECLINED, rating="down")
THIRD = Turn("Why?", None, "Stopped.")
BUSY = r"^An answer is being written\. Stop it first, or wait for it\.$"
VISIT = "Who is scheduled to visit Moscow early next week?"
TILLERSON = "Rex Tillerson is scheduled to visit Moscow early next week."

Shown = tuple[Messages, Session | tuple[Passage, ...]]
SESSION = Session(Conversation(ID, "When did it freeze?", (FIRST, SECOND, THIRD)))
ASKED = replace(SESSION, pending="And then?")


@pytest.fixture
def preparation(seed_settings: Settings, seed_engine: Engine) -> Preparation:
    """The start over the seed articles, gone well."""
    return over(seed_settings, seed_engine)


def over(settings: Settings, engine: Any) -> Preparation:
    made = Preparation(settings, state="Ready.", engine=engine)
    made.ended.set()
    return made


def replied(
    question: str, preparation: Preparation, limits: Limits | None = None, session: Session | None = None
) -> list[Shown]:
    """All that is shown, and the session in the end."""

    async def drained() -> list[Shown]:
        asked = chat.asked(session or Session(), question)
        return [found async for found in replies(asked, preparation, limits or Limits())]

    return asyncio.run(drained())


def last(found: list[Shown]) -> Turn:
    """The turn that the session carries in the end."""
    session = found[-1][1]
    assert session.pending is None
    return session.conversation.turns[-1]


def answering() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "answering"]


def test_each_turn_is_two_messages_and_the_last_can_be_asked_again():
    assert messages(SESSION) == [
        {"role": "user", "content": question_html(0, "When did it freeze?")},
        {"role": "assistant", "content": turn_html(0, FIRST)},
        {"role": "user", "content": question_html(1, "Where?")},
        {"role": "assistant", "content": turn_html(1, SECOND)},
        {"role": "user", "content": question_html(2, "Why?")},
        {"role": "assistant", "content": turn_html(2, THIRD, last=True)},
    ]
    assert messages(Session()) == []


def test_while_an_answer_grows_it_stands_below_its_question():
    *before, question, answer = messages(ASKED, growing="<p>x</p>")
    assert [message["role"] for message in before] == ["user", "assistant"] * 3
    assert before[-1]["content"] == turn_html(2, THIRD), "what is asked already isn't asked again"
    assert question == {"role": "user", "content": question_html(3, "And then?")}
    assert answer == {"role": "assistant", "content": "<p>x</p>"}
    assert messages(ASKED) == [*before, question]


def test_a_question_is_taken():
    assert chat.asked(SESSION, "And then?") == ASKED


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_an_empty_question_is_not_taken(question):
    with pytest.raises(QuestionError, match=r"^The question is empty\. Type one\.$"):
        chat.asked(SESSION, question)


@given(st.text(st.characters(), min_size=1).filter(str.strip))
def test_whatever_a_browser_sends_can_be_kept(question):
    session = chat.ended(chat.asked(Session(), question), "Stopped.")
    conversation = read_record(record(session.conversation))
    assert conversation == session.conversation
    halves = [character for character in question if "\ud800" <= character <= "\udfff"]
    if not halves:
        assert conversation.turns[0].question == question


def test_what_has_no_encoding_is_replaced():
    assert chat.asked(Session(), "\ufeffa\ud800b\ud83d\udc69").pending == "\ufeffa\ufffdb👩"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_question_that_is_edited_takes_the_place_of_what_follows(number):
    editing, question = chat.edited(SESSION, number)
    assert question == SESSION.conversation.turns[number].question
    assert editing == replace(SESSION, editing=number), "until it is asked, all is as it was"
    taken = chat.asked(editing, "What else?")
    assert taken.conversation.turns == SESSION.conversation.turns[:number]
    assert (taken.pending, taken.editing) == ("What else?", None)


@pytest.mark.parametrize("number", [-1, 3])
def test_no_other_question_is_edited(number):
    with pytest.raises(QuestionError, match=r"^This question is no longer in the conversation\.$"):
        chat.edited(SESSION, number)


def test_the_last_question_is_taken_again():
    again = chat.asked_again(replace(SESSION, editing=0))
    assert again.conversation.turns == (FIRST, SECOND)
    assert (again.pending, again.editing) == ("Why?", None)
    with pytest.raises(QuestionError, match=r"^There is no question to ask again\.$"):
        chat.asked_again(Session())


def test_what_is_stopped_is_a_turn_that_says_so():
    stopped = chat.ended(ASKED, "Stopped.")
    assert stopped.conversation.turns == (FIRST, SECOND, THIRD, Turn("And then?", None, "Stopped."))
    assert stopped.pending is None
    assert chat.ended(SESSION, "Stopped.") == SESSION


def test_a_rating_given_again_is_taken_back():
    up, answer, given = chat.rated(SESSION, 0, "up")
    assert (answer, given, up.conversation.turns) == (
        ANSWER,
        "up",
        (replace(FIRST, rating="up"), SECOND, THIRD),
    )
    down, _, given = chat.rated(up, 0, "down")
    assert (given, down.conversation.turns[0].rating) == ("down", "down")
    none, _, given = chat.rated(down, 0, "down")
    assert (given, none) == (None, SESSION)
    none, answer, given = chat.rated(SESSION, 1, "down")
    assert (answer, given, none.conversation.turns[1].rating) == (DECLINED, None, None)


@pytest.mark.parametrize("number", [-1, 2, 3])
def test_what_is_no_answer_is_not_rated(number):
    with pytest.raises(QuestionError, match=r"^This answer is no longer in the conversation\.$"):
        chat.rated(SESSION, number, "up")


def test_while_an_answer_is_written_nothing_else_happens():
    with pytest.raises(QuestionError, match=BUSY):
        chat.idle(ASKED)
    with pytest.raises(QuestionError, match=BUSY):
        chat.asked(ASKED, "x")
    with pytest.raises(QuestionError, match=BUSY):
        chat.asked_again(ASKED)
    with pytest.raises(QuestionError, match=BUSY):
        chat.edited(ASKED, 0)
    with pytest.raises(QuestionError, match=BUSY):
        chat.rated(ASKED, 0, "up")
    assert chat.idle(SESSION) == SESSION


def test_a_question_shows_passages_then_text_then_the_quote_in_its_place(preparation):
    *grown, (shown, session) = replied(VISIT, preparation)
    first, *_, written = [found[-1]["content"] for found, _ in grown]

    assert [found[0]["content"] for found, _ in grown] == [question_html(0, VISIT)] * len(grown)
    (passages,) = {after for _, after in grown}  # and no session: what is changed meanwhile stays
    assert passages == session.conversation.turns[0].answer.passages
    assert text_of(first, "//p[@class='note']") == "Reading 5 passages…"
    assert len(texts_of(first, "//ol/li")) == 5
    assert texts_of(first, "//p[@class='quote']") == []
    assert text_of(written, "//p[@class='quote']") == f"Rex Tillerson\n“{TILLERSON}” [1]"
    assert not [content for content, _ in grown if "<mark>" in content[-1]["content"]]

    (turn,) = session.conversation.turns
    assert (turn.question, turn.answer.text) == (VISIT, f"Rex Tillerson\n“{TILLERSON}” [1]")
    assert session.conversation.title == VISIT
    assert shown == messages(session)
    assert text_of(shown[1]["content"], "//p[@class='short']") == "Rex Tillerson"
    assert text_of(shown[1]["content"], "//mark") == TILLERSON
    assert skeleton(shown[1]["content"])[3:5] == [
        ("p", {"class": "quote"}),
        ("a", {"class": "cite label", "href": "#cite-0-0"}),
    ]


def test_a_question_that_was_stopped_before_it_began_is_not_answered(preparation):
    async def drained() -> list[Shown]:
        return [found async for found in replies(SESSION, preparation, Limits())]

    assert asyncio.run(drained()) == []


def test_a_question_goes_on_from_the_conversation(preparation):
    (*_, (_, session)) = replied("Who is the Kremlin spokesman?", preparation)
    turn = last(replied("What did he say about Syria?", preparation, session=session))
    assert turn.answer.taken_as == "Who is the Kremlin spokesman? What did he say about Syria?"


def test_an_edited_question_goes_on_from_what_is_before_it(preparation):
    (*_, (_, session)) = replied("Who is the Kremlin spokesman?", preparation)
    session, _ = chat.edited(session, 0)
    *_, (shown, session) = replied(VISIT, preparation, session=session)
    (turn,) = session.conversation.turns
    assert (turn.question, turn.answer.taken_as) == (VISIT, None)
    assert len(shown) == 2


def test_an_abstention_offers_the_nearest_passages(preparation):
    *_, (shown, _) = replied("What is the capital of Australia?", preparation)
    assert text_of(shown[1]["content"], "//p[@class='refusal']") == "The documents don't say."
    assert len(texts_of(shown[1]["content"], "//ol[@class='passages']/li")) == 5


def test_dates_and_documents_limit_what_is_asked(preparation):
    question = "Who is the Kremlin spokesman?"
    assert last(replied(question, preparation, Limits(since="2016"))).answer.abstained == (
        "no document has a date in that range"
    )
    blank = last(replied(VISIT, preparation, Limits(" ", "", ())))
    assert blank.answer.citations[0].quote == TILLERSON
    chosen = last(replied(VISIT, preparation, Limits(sources=("002_13f831a3d5680a96.txt",))))
    assert {passage.source for passage in chosen.answer.passages} == {"002_13f831a3d5680a96.txt"}


@pytest.mark.parametrize(
    ("question", "limits", "note"),
    [
        ("Who?", Limits(until="May"), "until is May; give a date such as 2016, 2016-05 or 2016-05-12."),
        (
            "x" * 100_000,
            Limits(),
            "The question has 100,000 characters; at most 4,000 can be asked. Shorten it.",
        ),
    ],
)
def test_what_is_wrong_is_the_turns_note(preparation, question, limits, note):
    found = replied(question, preparation, limits)
    assert last(found) == Turn(question, None, note)
    assert text_of(found[-1][0][1]["content"], "//p[@class='error']") == note


def test_a_failed_start_is_told(tmp_path):
    preparation = Preparation(resolve(documents=tmp_path / "none", index=tmp_path / "index"))
    preparation.start()
    *growing, (_, session) = replied("What?", preparation)
    note = f"The documents folder {tmp_path / 'none'} doesn't exist. Name another: --documents DIR"
    assert session.conversation.turns == (Turn("What?", None, note),)
    assert all(text_of(shown[-1]["content"], "//p[@class='note']") for shown, _ in growing)


def test_a_question_waits_for_the_start_and_says_what_it_does(seed_settings, seed_engine):
    async def asked() -> tuple[Messages, Messages, Session]:
        preparation = Preparation(seed_settings, state="Embedding the documents: 1 of 2 chunks…")
        async with aclosing(replies(chat.asked(Session(), VISIT), preparation, Limits())) as found:
            first, _ = await anext(found)
            preparation.engine = seed_engine
            preparation.ended.set()
            second, _ = await anext(found)
            *_, (_, session) = [shown async for shown in found]
        assert isinstance(session, Session)
        return first, second, session

    first, second, session = asyncio.run(asked())
    assert first[1]["content"] == note_html("Embedding the documents: 1 of 2 chunks…")
    assert text_of(second[1]["content"], "//p[@class='note']") == "Reading 5 passages…"
    assert session.conversation.turns[0].answer.citations[0].quote == TILLERSON


class Scripted:
    """An engine whose stream goes on until it is closed, unless it fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = threading.Event()
        self.stop = threading.Event()

    def stream(self, question: str, *, stop: threading.Event, **_: Any) -> Iterator[Event]:
        self.stop = stop
        try:
            yield (PASSAGE,)
            while self.error is None:
                yield question
            raise self.error
        finally:
            self.closed.set()


def test_an_answer_that_is_left_is_not_written_on(seed_settings):
    engine = Scripted()

    async def left() -> list[str]:
        asked = chat.asked(Session(), "word ")
        async with aclosing(replies(asked, over(seed_settings, engine), Limits())) as found:
            shown = [(await anext(found))[0][1]["content"] for _ in range(3)]
        assert await asyncio.to_thread(engine.closed.wait, PATIENCE_S), "the page goes on being served"
        return shown

    passages, one, two = asyncio.run(left())
    assert engine.stop.is_set()
    assert texts_of(passages, "//p[@class='quote']") == []
    assert [text_of(content, "//p[@class='quote']") for content in (one, two)] == ["word ", "word word "]
    for thread in answering():
        thread.join(PATIENCE_S)
    assert answering() == []


def test_after_an_answer_that_is_left_the_next_is_written(preparation):
    async def left() -> Messages:
        asked = chat.asked(Session(), VISIT)
        async with aclosing(replies(asked, preparation, Limits())) as found:
            return (await anext(found))[0]

    assert text_of(asyncio.run(left())[1]["content"], "//p[@class='note']") == "Reading 5 passages…"
    for thread in answering():
        thread.join(PATIENCE_S)
    assert answering() == []
    assert last(replied(VISIT, preparation)).answer.citations[0].quote == TILLERSON


def test_a_defect_is_told_on_the_page_and_raised(seed_settings):
    async def failing() -> list[Shown]:
        asked = chat.asked(Session(), "What?")
        found = replies(asked, over(seed_settings, Scripted(ValueError("odd"))), Limits())
        shown = [await anext(found), await anext(found)]
        with pytest.raises(ValueError, match="odd"):
            await anext(found)
        return shown

    note = "The answer failed (ValueError('odd')). The terminal has the details."
    assert last(asyncio.run(failing())) == Turn("What?", None, note)


def test_the_index_follows_the_folder_and_an_old_quote_says_that_it_changed(tmp_path):
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "one.txt").write_text("The river froze in January.", "utf-8")
    preparation = Preparation(resolve(documents=seeds, index=tmp_path / "index"))
    preparation.build()
    engine = preparation.ready()
    *_, (shown, session) = replied("When did the river freeze?", preparation)
    assert chat.changed(session.conversation, engine) == frozenset()
    assert text_of(shown[1]["content"], "//mark") == "The river froze in January."

    (seeds / "one.txt").write_text("The river froze in March.", "utf-8")
    preparation.build()
    changed = chat.changed(session.conversation, engine)
    assert [citation.quote for citation in changed] == ["The river froze in January."]
    (_, then) = messages(session, changed)
    assert text_of(then["content"], "//mark") == "The river froze in January."
    assert texts_of(then["content"], "//li") == [
        "[1] one.txt, characters 0-27 changed since; showing the original quote"
    ]
    answer = last(replied("When did the river freeze?", preparation)).answer
    assert [citation.quote for citation in answer.citations] == ["The river froze in March."]


def test_a_quote_that_moved_counts_as_changed(tmp_path):
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "one.txt").write_text("The river froze in January.", "utf-8")
    preparation = Preparation(resolve(documents=seeds, index=tmp_path / "index"))
    preparation.build()
    *_, (_, session) = replied("When did the river freeze?", preparation)
    (seeds / "one.txt").write_text("Ice! The river froze in January.", "utf-8")
    preparation.build()
    assert chat.changed(session.conversation, preparation.ready()) == frozenset(
        session.conversation.turns[0].answer.citations
    )
    passage = session.conversation.turns[0].answer.passages[0]
    assert (passage.source, passage.text) == ("one.txt", "The river froze in January.")
