"""The product on its own articles, with the embedded models: right answers, refusals, exact quotes."""

import threading
from dataclasses import replace

import pytest

from rag import wiring
from rag.answering.engine import Engine
from rag.settings import Settings
from rag.types import Answer
from tests.support.answers import QUESTIONS, assert_exact


@pytest.mark.parametrize("row", QUESTIONS["answerable"], ids=lambda row: row["question"])
def test_answers_right(row, seed_engine: Engine, seed_settings: Settings):
    answer = seed_engine.answer(row["question"])

    assert answer.abstained is None
    quoted = " ".join(citation.quote for citation in answer.citations)
    assert any(expected in quoted for expected in row["any_of"]), quoted
    assert answer.citations[0].source in row["sources"]
    assert len(quoted) <= 400
    assert_exact(answer, seed_settings)


@pytest.mark.parametrize("question", QUESTIONS["unanswerable"])
def test_declines(question, seed_engine: Engine):
    answer = seed_engine.answer(question)

    assert answer.abstained == "nothing in the documents bears on the question"
    assert answer.text == "The documents don't say."
    assert answer.citations == ()
    assert len(answer.passages) == 5


def test_a_follow_up_is_about_the_question_before_it(seed_engine: Engine):
    first = seed_engine.answer("Who is scheduled to visit Moscow early next week?")
    answer = seed_engine.answer("Did he visit Moscow before?", history=[(first.question, first.text)])

    assert answer.citations[0].quote == "Rex Tillerson is scheduled to visit Moscow early next week."


def test_engines_of_one_index_share_its_parts(seed_settings: Settings):
    other = replace(seed_settings, threshold=0.0, mode="quote")
    assert wiring.retriever(other) is wiring.retriever(seed_settings)
    assert wiring.engine(other) is not wiring.engine(seed_settings)


def test_two_questions_at_once_each_get_their_own_answer(seed_engine: Engine):
    questions = {
        "Until when did the EU extend its curbs on Syria?": "June 2017",
        "Who is scheduled to visit Moscow early next week?": "Tillerson",
    }
    answers: dict[str, Answer] = {}

    def ask(question: str) -> None:
        answers[question] = seed_engine.answer(question)

    threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for question, expected in questions.items():
        assert answers[question].question == question
        assert expected in answers[question].citations[0].quote


def test_a_stream_that_is_closed_leaves_the_model_free(seed_engine: Engine):
    events = seed_engine.stream("Is Moscow's support for Damascus unconditional?")
    assert len(next(events)) == 5
    assert isinstance(next(events), str)
    events.close()  # type: ignore[attr-defined]  # a generator

    answer = seed_engine.answer("Until when did the EU extend its curbs on Syria?")
    assert "June 2017" in answer.citations[0].quote
