import pytest

from rag.text.analyzer import stems
from rag.text.answer_type import asked_for, has_answer_of, spans_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did the war begin?", "time"),
        ("In what year was the mine opened?", "time"),
        ("How long ago was it?", "time"),
        ("How many people were killed?", "number"),
        ("What percentage voted?", "number"),
        ("Who is the spokesman?", "name"),
        ("Where is Wieliczka?", "name"),
        ("In which country is Normandy?", "name"),
        ("Why did he resign?", "reason"),
        ("What is mined there?", "any"),
        ("Whether somewhere anyhow", "any"),
    ],
)
def test_the_kind_that_is_asked_for(question, kind):
    assert asked_for(question) == kind


@pytest.mark.parametrize(
    ("kind", "text", "has"),
    [
        ("time", "The mine opened in 1290.", True),
        ("time", "It opened in the 13th century.", True),
        ("time", "It opened on a Monday.", True),
        ("time", "It has 12 rooms.", False),
        ("number", "It has 12 rooms.", True),
        ("number", "It has twelve rooms.", True),
        ("number", "It has rooms.", False),
        ("name", "The mayor is Rollo.", True),
        ("name", "The mayor of Rouen is old.", False),
        ("name", "The mayor is old.", False),
        ("reason", "He resigned because of it.", True),
        ("reason", "He resigned.", False),
        ("any", "", True),
    ],
)
def test_a_text_has_an_answer_of_the_kind(kind, text, has):
    assert has_answer_of(kind, text, frozenset(stems("Who is the mayor of Rouen?"))) is has


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("time", "From 12 May 1916 to June 2017, in the 1990s.", ["12 May 1916", "June 2017", "the 1990s"]),
        (
            "time",
            "On Monday, March 3rd, 1999 or in the late 19th century.",
            ["Monday, March 3rd, 1999", "the late 19th century"],
        ),
        ("time", "In 1695–1696 and 50 BC.", ["1695–1696", "50 BC"]),
        (
            "number",
            "It cost $1,200.50, or 5.5 million euros, 27-30%.",
            ["$1,200.50", "5.5 million", "27-30%"],
        ),
        ("number", "Two hundred and fifty of H2O and v2.0x", ["Two hundred and fifty"]),
        (
            "name",
            "The Bank of England and Mr. J. van Gogh left.",
            ["The Bank of England", "Mr", "J. van Gogh"],
        ),
        ("name", "She met the mayor in iPhone.", []),
        ("any", "In 1999.", []),
    ],
)
def test_the_spans_of_a_kind(kind, text, found):
    spans = spans_of(kind, text, frozenset(stems("Who is the mayor of Rouen? When?")))
    assert [text[start:end] for start, end in spans] == found


def test_what_the_question_says_is_no_answer():
    assert [
        *spans_of("time", "It was not in 1999 but in 2001.", frozenset(stems("Was it in 1999? When?")))
    ] == [(26, 30)]
