import pytest

from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.training.siblings import Siblings

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def siblings() -> Siblings:
    return Siblings(find_embedder("embedded", download).path.parent)


@pytest.mark.parametrize(
    ("word", "others", "sibling"),
    [
        ("Scotland", {"England", "table", "Whisky"}, "England"),
        ("summer", {"Winter", "heat", "paper"}, "Winter"),
        ("actors", {"actor"}, None),  # forms of one word
        ("big", {"large"}, None),  # means the same
        ("summer", {"parliament"}, None),
        ("summer", set(), None),
    ],
)
def test_the_word_of_the_same_kind_is_found(siblings, word, others, sibling):
    assert siblings.of(word, others) == sibling


def test_words_are_known_that_have_a_vector_and_say_something(siblings):
    assert siblings.known("Where is Xyzzyq in the summer of 1817?") == {"summer"}
