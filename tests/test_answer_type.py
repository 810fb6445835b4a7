import pytest

from rag.answer_type import asked_for, has_answer_of


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
    assert has_answer_of(kind, text, "Who is the mayor of Rouen?") is has
