from rag.answering.evidence import ranked, within_budget
from rag.types import Sentence, Signals


def sentence(text: str, score: float, passage: int = 0) -> Sentence:
    return Sentence(passage, 0, len(text), text, score, Signals(0, 0, 0, 0, False, 0))


BREAD = sentence("Bread rose.", 0.5)
SALT = sentence("Salt fell!", 0.3)
PEACE = sentence("Peace came.", 0.7, passage=1)


def test_ranked_is_best_first_and_equal_scores_keep_their_order():
    assert ranked([BREAD, SALT, PEACE]) == (PEACE, BREAD, SALT)
    other = sentence("Salt rose.", 0.3)
    assert ranked([SALT, other]) == (SALT, other)
    assert ranked([]) == ()


def test_a_sentence_that_says_the_same_again_is_left_out():
    again = sentence("BREAD ROSE...", 0.5, passage=1)
    assert ranked([BREAD, again, SALT]) == (BREAD, SALT)


def test_of_sentences_that_say_the_same_the_best_stays():
    under_another_heading = sentence("Bread rose.", 0.6, passage=1)
    assert ranked([BREAD, under_another_heading, SALT]) == (under_another_heading, SALT)


def test_a_sentence_without_a_letter_or_digit_is_left_out():
    assert ranked([sentence("---", 0.9), SALT]) == (SALT,)


def test_within_budget_keeps_whole_sentences_best_first():
    found = (PEACE, BREAD, SALT)
    assert within_budget(found, [5, 4, 3], max_tokens=12) == found
    assert within_budget(found, [5, 4, 3], max_tokens=8) == (PEACE, SALT)
    assert within_budget(found, [5, 4, 3], max_tokens=4) == (BREAD,)
    assert within_budget(found, [5, 4, 3], max_tokens=2) == ()
    assert within_budget((), [], max_tokens=2) == ()
