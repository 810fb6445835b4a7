"""The run on small sets, with the embedded models, through the public interface."""

import pytest

from rag import settings
from rag.errors import EvaluationError
from rag.evaluation.datasets import Dataset, Question
from rag.evaluation.evaluate import Report, evaluate, sample
from tests.support.question_files import DOCUMENTS

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("cache")]


def run(questions, *, documents=None, answers=False, **kind) -> Report:
    asked = []
    report = evaluate(
        Dataset("small", documents or DOCUMENTS, tuple(questions), **kind),
        tuple(questions),
        settings.resolve(),
        answers=answers,
        advance=lambda: asked.append(1),
    )
    assert len(asked) == len(questions)
    return report


def of(source: str, text: str) -> tuple[str, int, int]:
    start = DOCUMENTS[source].index(text)
    return source, start, start + len(text)


def test_hits_count_the_gold_documents():
    report = run(
        [
            Question("In which country is Normandy?", sources=frozenset({"france.txt"})),
            Question("In which country is Normandy?", sources=frozenset({"salt.txt"})),
            Question("Where is the moon?", sources=frozenset({"salt.txt"}), answerable=False),
        ]
    )
    found = dict(report.metrics)
    assert found.pop("search_ms") > 0
    assert found == {"hit@1": 0.5, "hit@5": 1.0, "hit@10": 1.0, "mrr@10": 0.75}
    assert report.counts == {"search_ms": 3, "hit@1": 2, "hit@5": 2, "hit@10": 2, "mrr@10": 2}
    assert (report.name, report.documents, report.questions, report.precision) == ("small", 2, 3, "int8")


def test_spans_are_measured_in_characters():
    question = Question(
        "Where is salt mined?", sources=frozenset({"salt.txt"}), spans=(of("salt.txt", "Wieliczka"),)
    )
    found = run([question]).metrics
    # Both documents are passages whole: 68 and 53 characters.
    assert found["recall@5"] == 1
    assert found["precision@5"] == found["iou@5"] == pytest.approx(9 / (68 + 53))
    assert "hit@1" not in found


def test_a_passage_with_the_whole_sentence_is_right():
    inside = of("salt.txt", "Salt is mined in Wieliczka.")
    beyond = ("salt.txt", 0, 99)
    questions = [
        Question("Where is salt mined?", sources=frozenset({"salt.txt"}), spans=(span,), answerable=True)
        for span in (inside, beyond)
    ]
    assert run(questions, sentences=True).metrics["hit@1"] == 0.5


def test_answers_are_judged():
    report = run(
        [
            Question(
                "Where is salt mined?",
                answers=("Wieliczka",),
                sources=frozenset({"salt.txt"}),
                answerable=True,
            ),
            Question("What does pizza cost in Naples?", answerable=False),
        ],
        answers=True,
    )
    found = dict(report.metrics)
    assert found.pop("quoted_chars") >= len("Salt is mined in Wieliczka.")
    assert {name: value for name, value in found.items() if not name.endswith("_ms")} == {
        **dict.fromkeys(("hit@1", "hit@5", "hit@10", "mrr@10", "quote_exactness", "answered"), 1.0),
        **dict.fromkeys(("answered_right", "cited_file_right", "refused_right", "balanced"), 1.0),
        **dict.fromkeys(("first_quote_right", "exact_match", "f1"), 1.0),
    }
    assert report.counts["balanced"] == 2


def test_the_gain_of_the_history():
    # Six documents on what was opened when hide the mine from a question that doesn't name it.
    others = {
        f"{what}.txt": f"The {what} was opened; when it was opened people came. It opened in 1{number}."
        for number, what in enumerate(("bridge", "school", "museum", "station", "market", "library"), 850)
    }
    mine = {"mine.txt": "The salt pit at Wieliczka dates from the 13th century; salt is dug there."}
    first = Question("Where is salt dug?", sources=frozenset({"mine.txt"}))
    second = Question(
        "And when was it opened?",
        history=(("Where is salt dug at Wieliczka, in what pit?", "At Wieliczka."),),
        rewrite="From what century is the salt pit at Wieliczka?",
        sources=frozenset({"mine.txt"}),
    )
    found = run([first, second], documents={**others, **mine}, conversations=True).metrics
    assert {
        name: value for name, value in found.items() if name.endswith(("turn", "history", "rewrite", "gain"))
    } == {
        "hit@5_last_turn": 0.5,
        "hit@5_history": 1.0,
        "multi_turn_gain": 0.5,
        "hit@5_rewrite": 1.0,
    }


def test_the_index_of_a_set_follows_its_documents(cache):
    question = Question("Where is salt mined?", sources=frozenset({"salt.txt"}))
    assert run([question]).metrics["hit@1"] == 1
    for index in cache.glob("*/index"):
        (index / "current").write_text("damaged")
    assert run([question]).metrics["hit@1"] == 1
    changed = {"france.txt": "Salt is mined in Wieliczka.", "salt.txt": "Nothing is here."}
    assert run([question], documents=changed).metrics["hit@1"] == 0
    assert len([*cache.iterdir()]) == 1


def test_a_set_with_other_documents_has_an_index_of_its_own(cache):
    question = Question("Where is salt mined?", sources=frozenset({"salt.txt"}))
    assert run([question]).metrics["hit@1"] == 1
    assert run([question], documents={"moon.txt": "The moon is far."}).metrics["hit@10"] == 0
    assert sorted(path.name for path in cache.glob("*/documents/*")) == ["france.txt", "moon.txt", "salt.txt"]


def test_a_cache_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EvaluationError, match=r"^The documents of small can't be copied to .*: "):
        run([Question("Where is salt mined?")])


def test_documents_that_are_files_already_are_indexed_where_they_are(tmp_path, cache):
    (tmp_path / "seeds" / "sub").mkdir(parents=True)
    (tmp_path / "seeds" / "sub" / "salt.txt").write_text(DOCUMENTS["salt.txt"], "utf-8")
    question = Question("Where is salt mined?", sources=frozenset({"sub/salt.txt"}))
    found = run([question], documents={"sub/salt.txt": DOCUMENTS["salt.txt"]}, folder=tmp_path / "seeds")
    assert found.metrics["hit@1"] == 1
    assert [*cache.glob("*/documents")] == []


def test_a_sample_is_drawn_by_its_seed():
    questions = [Question(str(number)) for number in range(100)]
    few = sample(questions, 5, 0)
    assert [question.text for question in few] == ["49", "97", "53", "5", "33"]
    assert sample(questions, 5, 0) == few != sample(questions, 5, 1)
    assert sample(questions, None, 0) == sample(questions, 100, 0) == tuple(questions)


def test_a_sample_of_as_many_answerable_questions_as_others():
    questions = [Question(str(number), answerable=number % 4 == 0) for number in range(40)]
    found = sample(questions, None, 0, each=6)
    assert [question.answerable for question in found] == [True] * 6 + [False] * 6
    assert len({question.text for question in found}) == 12
    assert sample(questions, None, 0, each=6) == found
    assert len(sample(questions, None, 0, each=20)) == 10 + 20
