from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answering.quotes import Short, choose_quotes, citation_of, wholes
from rag.types import Chunk, Citation, Passage, Reading, Sentence, Signals
from tests.support.answers import by_passage

PASSAGES = (Passage("a.txt", 0, 60, "", 0.9), Passage("b/c.md", 100, 140, "", 0.5))
NOTHING = Signals(0, 0, 0, 0, False, 0)
EVIDENCE = (
    Sentence(1, 105, 119, "He denied\nit.\t", 0.9, NOTHING),
    Sentence(0, 3, 22, "No war, he said: 0]", 0.8, NOTHING),
    Sentence(0, 30, 40, "[1] Peace.", 0.7, NOTHING),
)
ONE, TWO, THREE = (citation_of(sentence, PASSAGES, sentence.passage + 1) for sentence in EVIDENCE)


class Replies:
    """A model that goes on with these texts, and remembers what it had written and the grammars."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, written: str, grammar: str) -> str:
        self.asked.append((written, grammar))
        return self.texts.pop(0)


def chosen(
    *replies: str,
    evidence=EVIDENCE,
    max_quotes=3,
    max_chars=400,
    decided=1.0,
    may_refuse=False,
    short=lambda _: None,
) -> list[str | Short | Citation]:
    found = choose_quotes(
        Replies(*replies),
        evidence,
        PASSAGES,
        max_quotes=max_quotes,
        max_chars=max_chars,
        decided=decided,
        may_refuse=may_refuse,
        short=short,
    )
    return by_passage(found, PASSAGES)


def test_a_citation_is_the_whole_sentence_at_its_place():
    assert Citation(2, "b/c.md", 105, 119, "He denied\nit.\t") == ONE
    assert Citation(1, "a.txt", 3, 22, "No war, he said: 0]") == TWO


def test_each_quote_is_followed_by_its_citation():
    assert chosen("2]", "\n[3]") == [
        *("“No war, he said: 0]” [1]", TWO),
        *("\n“[1] Peace.” [1]", THREE),
        *("\n“He denied\nit.\t” [2]", ONE),
    ]


def test_the_model_is_asked_after_what_it_has_written_under_the_grammar_of_what_is_left():
    model = Replies("2]", "\n[3]")
    found = choose_quotes(
        model,
        EVIDENCE,
        PASSAGES,
        max_quotes=2,
        max_chars=400,
        decided=1.0,
        may_refuse=True,
        short=lambda _: None,
    )
    list(found)
    assert model.asked == [
        ("[", 'root ::= "0]" | "1]" | "2]" | "3]"'),
        ("[2] No war, he said: 0]", 'root ::= "\\x0A[1]" | "\\x0A[3]"'),
    ]


def test_a_sentence_that_is_far_ahead_is_chosen_without_the_model_unless_it_may_refuse():
    ahead = (replace(EVIDENCE[0], score=1.05), *EVIDENCE[1:])
    assert chosen("\n[2]", evidence=ahead, decided=0.25, max_quotes=2) == [
        *("“He denied\nit.\t” [2]", ONE),
        *("\n“No war, he said: 0]” [1]", TWO),
    ]
    assert chosen("0]", evidence=ahead, decided=0.25, may_refuse=True) == []


def test_the_only_sentence_is_quoted_without_the_model_unless_it_may_refuse():
    assert chosen(evidence=EVIDENCE[:1]) == ["“He denied\nit.\t” [2]", ONE]
    assert chosen("1]", evidence=EVIDENCE[:1], may_refuse=True) == ["“He denied\nit.\t” [2]", ONE]
    assert chosen("0]", evidence=EVIDENCE[:1], may_refuse=True) == []


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "0",
        "0]",
        "4]",
        "9]",
        "-1]",
        "1",
        "[1]",
        "]",
        "He denied",
        "²]",
        "１]",
        "\0",
        "1] He",
        "\n[1]",
        "11]",
    ],
)
def test_a_reply_that_chooses_no_sentence_gives_nothing(reply):
    assert chosen(reply) == []


@pytest.mark.parametrize("reply", ["", "\n", "\n[", "1]", "\n[2]", "\n[0]", "\n[4]", " more", "\n[1"])
def test_a_reply_that_chooses_no_other_sentence_ends_the_answer(reply):
    assert chosen("2]", reply) == ["“No war, he said: 0]” [1]", TWO]


def test_there_are_no_more_quotes_than_there_may_be():
    assert chosen("1]", max_quotes=1) == ["“He denied\nit.\t” [2]", ONE]


def test_the_quotes_are_at_most_max_chars_together_but_the_first_is_always_given():
    assert chosen("1]", max_chars=14 + 10) == ["“He denied\nit.\t” [2]", ONE, "\n“[1] Peace.” [1]", THREE]
    assert chosen("1]", max_chars=14 + 9) == ["“He denied\nit.\t” [2]", ONE]
    assert chosen("2]", max_chars=1) == ["“No war, he said: 0]” [1]", TWO]


def test_the_short_answer_of_the_first_quote_comes_first():
    shorts = {"No war, he said: 0]": "No war", "He denied\nit.\t": "it"}
    assert chosen("2]", "\n[1]", max_quotes=2, short=lambda found: shorts.get(found.text)) == [
        *(Short("No war"), "No war\n“No war, he said: 0]” [1]", TWO),
        *("\n“He denied\nit.\t” [2]", ONE),
    ]
    assert chosen("3]", max_quotes=1, short=lambda found: shorts.get(found.text)) == [
        "“[1] Peace.” [1]",
        THREE,
    ]


HE = Sentence(0, 50, 60, "He denied.", 0.6, NOTHING, "Bob spoke.\n")


def test_a_quote_takes_in_what_it_refers_back_to_where_there_is_room():
    whole = ["“Bob spoke.\nHe denied.” [1]", Citation(1, "a.txt", 39, 60, "Bob spoke.\nHe denied.")]
    assert chosen(evidence=[HE], max_chars=21) == whole
    assert chosen(evidence=[HE], max_chars=20) == [
        "“He denied.” [1]",
        Citation(1, "a.txt", 50, 60, "He denied."),
    ]
    assert chosen("1]", evidence=[HE, EVIDENCE[2]], max_chars=31) == [*whole, "\n“[1] Peace.” [1]", THREE]
    assert chosen("1]", evidence=[HE, EVIDENCE[2]], max_chars=30)[0] == "“He denied.” [1]"


def test_a_quote_that_takes_in_more_has_the_page_and_the_copies_of_the_whole():
    he = replace(HE, page=2, copies=("b.txt", "c.txt"), led_page=1, led_copies=("c.txt",))
    whole = Citation(1, "a.txt", 39, 60, "Bob spoke.\nHe denied.", page=1, copies=("c.txt",))
    alone = Citation(1, "a.txt", 50, 60, "He denied.", page=2, copies=("b.txt", "c.txt"))
    assert chosen(evidence=[he], max_chars=21)[1] == whole
    assert chosen(evidence=[he], max_chars=20)[1] == alone


def test_a_quote_does_not_take_in_another():
    bob = Sentence(0, 39, 49, "Bob spoke.", 0.5, NOTHING)
    assert chosen("1]", evidence=[HE, bob]) == [
        *("“He denied.” [1]", Citation(1, "a.txt", 50, 60, "He denied.")),
        *("\n“Bob spoke.” [1]", Citation(1, "a.txt", 39, 49, "Bob spoke.")),
    ]


def retold(events: Sequence[str | Short | Citation]) -> tuple[str, str]:
    """The text as it was passed on, and the same made from the citations alone."""
    text = "".join(event for event in events if isinstance(event, str))
    cited = [event for event in events if isinstance(event, Citation)]
    return text, "\n".join(f"“{found.quote}” [{found.label}]" for found in cited)


REPLIES = st.one_of(st.sampled_from(["1]", "2]", "3]", "0]", "\n[1]", "\n[2]", "\n[3]"]), st.text(max_size=4))


@settings(deadline=None, max_examples=300)
@given(st.lists(REPLIES, min_size=3, max_size=3), st.booleans())
def test_whatever_the_model_writes_only_quotes_reach_the_user(replies, may_refuse):
    events = chosen(*replies, may_refuse=may_refuse)
    text, expected = retold(events)
    assert text == expected
    cited = [event for event in events if isinstance(event, Citation)]
    assert len({*cited}) == len(cited)
    assert {*cited} <= {ONE, TWO, THREE}


LIST = "Bring:\n- salt\n- bread\n"
WHOLE = Chunk(50, 71, LIST[:-1])


def item(words: str, score: float, *, passage: int = 0) -> Sentence:
    start = 50 + LIST.index(words)
    reading = Reading(1.5, 0, len(words), 0.9)
    return Sentence(
        passage,
        start,
        start + len(words),
        words,
        score,
        NOTHING,
        "x. ",
        "x. ",
        reading,
        context="Huts",
        whole=WHOLE,
    )


def test_an_item_is_quoted_with_its_list_once():
    (found,) = wholes([item("bread", 0.9), item("salt", 0.8), item("Bring:", 0.7)])
    assert (found.start, found.end, found.text, found.lead_in) == (50, 71, LIST[:-1], "")
    assert (found.score, found.context) == (0.9, "Huts"), "as the best of its items"
    assert found.reading == Reading(1.5, 16, 21, 0.9)
    assert found.text[found.reading.start : found.reading.end] == "bread"


def test_lists_of_other_passages_and_what_is_in_none_stay():
    other, alone = item("salt", 0.8, passage=1), EVIDENCE[1]
    found = wholes([item("salt", 0.9), alone, other])
    assert [(one.passage, one.start, one.text) for one in found] == [
        (0, 50, WHOLE.text),
        (0, 3, alone.text),
        (1, 50, WHOLE.text),
    ]
    assert found[1] is alone
    assert wholes([]) == ()


def test_a_citation_says_what_its_quote_stands_under():
    assert citation_of(item("salt", 0.9), PASSAGES, 2).context == "Huts"
