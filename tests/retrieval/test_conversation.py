from typing import cast

import pytest

from rag.errors import QuestionError
from rag.retrieval.conversation import MAX_TOPIC_CHARS, MAX_TURNS, TOPIC_TURNS, Context, History, in_context

KREMLIN = ("Who is the Kremlin spokesman?", "“Dmitry Peskov.” [1]")
ALEPPO = ("Where is the city of Aleppo?", "“In Syria.” [1]")


@pytest.mark.parametrize(
    ("question", "text", "continues"),
    [
        ("Why?", "Who is the Kremlin spokesman? Why?", True),
        ("And in 2015?", "Who is the Kremlin spokesman? And in 2015?", True),
        ("What did he say about Syria?", "Who is the Kremlin spokesman? What did he say about Syria?", True),
        ("Where is the city of Aleppo?", "Where is the city of Aleppo?", False),
    ],
)
def test_a_question_that_continues_is_taken_with_the_last_one(question, text, continues):
    assert in_context(question, [KREMLIN]) == Context(
        question, text, "Who is the Kremlin spokesman?", continues, (KREMLIN,)
    )


def test_a_chain_of_follow_ups_goes_back_to_what_it_is_about():
    history = [ALEPPO, KREMLIN, ("Why?", "b"), ("What did he say then?", "c"), ("And she?", "d")]
    found = in_context("When?", history)
    assert found.text == "Who is the Kremlin spokesman? When?"
    assert found.topic == "Who is the Kremlin spokesman? Why? What did he say then? And she?"


def test_the_topic_is_what_the_last_three_questions_say():
    history = [("One?", ""), ("Is it two?", ""), KREMLIN, ALEPPO]
    found = in_context("Where was the fight in Homs?", history)
    assert found.topic == "Is it two? Who is the Kremlin spokesman? Where is the city of Aleppo?"


def test_without_a_question_before_it_stands_alone():
    assert in_context("Why?", []) == Context("Why?", "Why?", "", False, ())
    assert in_context("Why?", [(" ", "a"), ("", "b")]) == Context("Why?", "Why?", "", False, ())


def test_the_first_question_continues_from_nothing():
    assert in_context("Why?", [("Who?", "a"), ("", "b")]).text == "Who? Why?"
    assert in_context("Where was he born?", [("Who is it?", "a")]).text == "Who is it? Where was he born?"


@pytest.mark.parametrize(
    "question",
    [
        *(
            "Why?",
            "And in 2015?",
            "Who told him so?",
            "What did it cost?",
            "Is that true?",
            "Who else was there?",
        ),
        *("What about this?", "Were they killed?", "When was that?"),
        *("Is it open to the public?", "How long did it take to build?", "Did it lead to the war?"),
        *("Is it safe for children?", "Was it sent to Moscow?", "What did they say about these claims?"),
        *("What happened then?", "Did he visit Moscow before?", "What did its spokesman say?", "The others?"),
    ],
)
def test_a_question_that_refers_to_what_was_said_continues(question):
    assert in_context(question, [KREMLIN]).continues is True


@pytest.mark.parametrize(
    "question",
    [
        *(
            "What is NATO?",
            "Who is Putin?",
            "What is nato?",
            "Is there evidence that chlorine was used in Aleppo?",
        ),
        *("What other planets orbit the sun?", "Where did Obama say his daughter studied?"),
        *(
            "Who said that the talks failed?",
            "What happened in Syria this week?",
            "Where is the city of Aleppo?",
        ),
        *("How long does it take to become a member?", "How much does it cost to rent a locker?"),
        *("Is it true that the talks failed?", "Is it possible to visit the palace by night?"),
        *("What are these documents about?", "Who wrote these articles?", "How large is this folder?"),
        *("How many people were killed in the attack?", "Which one of the planets is largest?"),
    ],
)
def test_a_question_of_its_own_does_not_go_on(question):
    assert in_context(question, [KREMLIN]).continues is False


def test_the_answers_are_not_searched_for():
    found = in_context("Why?", [KREMLIN])
    assert "Peskov" not in found.text + found.topic


def test_a_huge_history_is_cut():
    found = in_context("Why?", [("Did peace come " + "x" * 10**6, "y" * 10**6)] * 1000)
    assert len(found.topic) == MAX_TOPIC_CHARS
    assert found.turns == (("x" * MAX_TOPIC_CHARS, "y" * MAX_TOPIC_CHARS),) * TOPIC_TURNS


def test_what_was_asked_long_ago_is_not_looked_at():
    turns = [KREMLIN, *[("Why?", "")] * MAX_TURNS]
    assert "Kremlin" not in in_context("Who?", turns).text
    assert "Kremlin" in in_context("Who?", turns[:-1]).text


def test_characters_that_no_encoding_has_are_replaced():
    found = in_context("Why \udc80?", [("Who is \udc80 Peskov of Moscow?", "\udc80")])
    assert (found.question, found.topic) == ("Why ??", "Who is ? Peskov of Moscow?")


@pytest.mark.parametrize(
    "history",
    [
        None,
        3,
        "ab",
        ["ab"],
        ["question"],
        [("question",)],
        [("question", "answer", "more")],
        [(1, "answer")],
        [("question", None)],
        [{"role": "user", "content": "Who is the Kremlin spokesman?"}],
    ],
)
def test_a_bad_history_is_told_of(history):
    with pytest.raises(QuestionError) as raised:
        in_context("Why?", history)
    assert str(raised.value) == (
        "history must be pairs of texts, oldest first: [(question, answer text), ...]"
    )


def test_a_history_of_lists_is_read_like_one_of_tuples():
    assert in_context("Why?", cast(History, [list(KREMLIN)])).text == "Who is the Kremlin spokesman? Why?"


EXHAUST = "How much is a new exhaust for the Heron?"


@pytest.mark.parametrize(
    ("asked", "question", "text"),
    [
        (EXHAUST, "And for the Plover?", "How much is a new exhaust for the Plover?"),
        (
            EXHAUST,
            "and, for the Plover and the Gull",
            "How much is a new exhaust for the Plover and the Gull?",
        ),
        (EXHAUST, "What about the Plover?", "How much is a new exhaust for the Plover?"),
        (EXHAUST, "How about a clutch?", "How much is a clutch for the Heron?"),
        ("How many visitors came in 2019?", "And in 2020?", "How many visitors came in 2020?"),
        ("How many visitors came in 2019?", "And 2020?", "How many visitors came in 2020?"),
        ("Where was Wenzel Aubrey born?", "And Berit Lunn?", "Where was Berit Lunn born?"),
        ("How long does the Otter last?", "And the Lynx?", "How long does the Lynx last?"),
        ("When does the Monday class begin?", "And the Tuesday class?", "When does the Tuesday class begin?"),
        ("When was the pier of Sorrel built?", "And the pier of Dale?", "When was the pier of Dale built?"),
        ("What is the day fare for the van?", "And the night fare?", "What is the night fare for the van?"),
        (
            "What is the rent of the large tent?",
            "And of the small one?",
            "What is the rent of the small tent?",
        ),
        ("Is it open on Monday?", "And on Sunday?", "Is it open on Sunday?"),
    ],
)
def test_a_question_that_names_something_else_asks_the_same_of_it(asked, question, text):
    history = [KREMLIN, (asked, "“It is so.” [1]")]
    assert in_context(question, history) == Context(text, text, "", False, tuple(history))


def test_it_may_be_asked_of_one_thing_after_the_other():
    history = [(EXHAUST, "140"), ("And for the Plover?", "165"), ("And a clutch?", "118")]
    assert in_context("And for the Gull?", history).text == "How much is a clutch for the Gull?"
    assert in_context("Why?", history).text == "How much is a clutch for the Plover? Why?"


@pytest.mark.parametrize(
    "question",
    ["And who pays?", "And why?", "And in winter?", "And children?", "And him?", "And then?", "And 12?"],
)
def test_what_has_no_place_in_the_question_before_continues_it(question):
    assert in_context(question, [(EXHAUST, "140")]).text == f"{EXHAUST} {question}"


CEILING = "Who painted the ceiling?"


@pytest.mark.parametrize(
    ("name", "question", "text"),
    [
        ("Wenzel Aubrey", "Where was he born?", "Where was Wenzel Aubrey born?"),
        ("Berit Lunn", "Where did she study?", "Where did Berit Lunn study?"),
        ("Berit Lunn", "Who taught her?", "Who taught Berit Lunn?"),
        ("Berit Lunn", "Who was her teacher?", "Who was Berit Lunn’s teacher?"),
        ("James", "What is his trade?", "What is James’ trade?"),
        ("J. van der Aa", "When did he die?", "When did J. van der Aa die?"),
        ("Dr. María de la Cruz", "When did she die?", "When did Dr. María de la Cruz die?"),
    ],
)
def test_he_and_she_are_the_person_whom_the_last_answer_named(name, question, text):
    history = [(CEILING, f"{name}\n“It was painted by {name}.” [1]")]
    assert in_context(question, history) == Context(text, text, "", False, tuple(history))


@pytest.mark.parametrize(
    ("asked", "said", "question"),
    [
        ("When was it painted?", "Monday\n“It was on Monday.” [1]", "Where was he born?"),
        (CEILING, "“By Wenzel Aubrey.” [1]", "Where was he born?"),
        (CEILING, "the guild\n“By the guild.” [1]", "Where did he live?"),
        (CEILING, "Wenzel Aubrey\n“By him.” [1]", "Was he born in Lipnice?"),
    ],
)
def test_no_name_is_put_in_where_that_is_not_sure(asked, said, question):
    found = in_context(question, [(asked, said)])
    assert (found.text, found.continues) == (f"{asked} {question}", True)


def test_another_name_in_the_question_stays():
    found = in_context("Did Mr Toll know him?", [(CEILING, "Wenzel Aubrey\n“By him.” [1]")])
    assert found.text == "Did Mr Toll know him?"
