import gzip
import json

import pytest

from rag.errors import EvaluationError
from rag.evaluation.datasets import AbsentSetError, Question
from rag.training.datasets import READERS, read_dataset, source_of
from tests.support.question_files import write_rows


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("The war began.", "utf-8")
    return folder


def test_chroma_has_spans(tmp_path, documents):
    write_rows(tmp_path / "chroma" / "documents.jsonl", {"id": "talk", "title": "Talk", "text": "Peace now."})
    evidence = [{"content": "Peace", "start_index": 0, "end_index": 5}]
    write_rows(
        tmp_path / "chroma" / "questions.jsonl",
        {"question": "What now?", "evidence_doc_ids": ["talk"], "evidence": evidence},
    )
    found = read_dataset("chroma", tmp_path, documents)
    assert found.documents == {"talk.txt": "Peace now."}
    assert found.questions == (
        Question("What now?", sources=frozenset({"talk.txt"}), spans=(("talk.txt", 0, 5),)),
    )
    assert (found.name, found.own, found.sentences, found.folder) == ("chroma", False, False, None)


@pytest.mark.parametrize("name", ["squad2", "xquad"])
def test_squad_has_answers_and_questions_without(tmp_path, documents, name):
    write_rows(tmp_path / name / "paragraphs.jsonl", {"id": "A#0", "text": "In France."})
    row = {"question": "Where?", "answers": ["France"], "evidence_doc_ids": ["A#0"], "type": "answerable"}
    write_rows(tmp_path / name / "questions.jsonl", row, {**row, "answers": [], "type": "unanswerable"})
    found = read_dataset(name, tmp_path, documents)
    assert found.documents == {"A#0.txt": "In France."}
    sources = frozenset({"A#0.txt"})
    assert found.questions == (
        Question("Where?", answers=("France",), sources=sources, answerable=True),
        Question("Where?", sources=sources, answerable=False),
    )


def test_wikipedia_has_the_sentence_that_answers(tmp_path, documents):
    write_rows(tmp_path / "wikipedia490" / "documents.jsonl.gz", {"id": "AC%2FDC", "text": "They are loud."})
    write_rows(
        tmp_path / "wikipedia490" / "sentence_questions.jsonl",
        {
            "question": "how are they?",
            "doc_id": "AC%2FDC",
            "start": 0,
            "end": 14,
            "sentence": "They are loud.",
        },
    )
    found = read_dataset("wikipedia490", tmp_path, documents)
    assert found.questions == (
        Question(
            "how are they?",
            sources=frozenset({"AC%252FDC.txt"}),
            spans=(("AC%252FDC.txt", 0, 14),),
            answerable=True,
        ),
    )
    assert [*found.documents] == ["AC%252FDC.txt"]
    assert found.sentences


def test_news_has_the_questions_with_a_document_that_has_the_answer(tmp_path, documents):
    write_rows(tmp_path / "news2025" / "documents.jsonl.gz", {"id": "n1", "text": "In Alaska."})
    row = {"question": "Where?", "answers": ["Alaska"], "answer_bearing_doc_ids": ["n1"]}
    write_rows(tmp_path / "news2025" / "questions.jsonl", row, {**row, "answer_bearing_doc_ids": []})
    (question,) = read_dataset("news2025", tmp_path, documents).questions
    assert question == Question("Where?", answers=("Alaska",), sources=frozenset({"n1.txt"}), answerable=True)


def test_clapnq_has_the_selected_sentences_as_spans(tmp_path, documents):
    passage = {"title": "T", "text": "It rained . It poured ."}
    row = {"id": "7", "input": "did it rain", "passages": [passage]}
    outputs = [
        {"selected_sentences": ["It poured .", "Not there ."]},
        {"selected_sentences": ["It poured ."]},
    ]
    write_rows(tmp_path / "clapnq" / "answerable.jsonl", {**row, "output": outputs})
    write_rows(
        tmp_path / "clapnq" / "unanswerable.jsonl", {**row, "id": "8", "output": [{"selected_sentences": []}]}
    )
    found = read_dataset("clapnq", tmp_path, documents)
    assert found.questions == (
        Question("did it rain", sources=frozenset({"7.txt"}), spans=(("7.txt", 12, 23),), answerable=True),
        Question("did it rain", sources=frozenset({"8.txt"}), answerable=False),
    )
    assert [*found.documents] == ["7.txt", "8.txt"]


def test_multiturn_has_the_history_and_the_rewrite(tmp_path, documents):
    folder = tmp_path / "multiturn"
    for collection in ("clapnq", "fiqa"):
        write_rows(
            folder / f"{collection}_lastturn.jsonl", {"_id": f"{collection}1", "text": "|user|: And when?"}
        )
        write_rows(folder / f"{collection}_rewrite.jsonl", {"_id": "other", "text": "|user|: Never?"})
    write_rows(folder / "clapnq_rewrite.jsonl", {"_id": "clapnq1", "text": "|user|: When was the war?"})
    history = [
        {"speaker": "user", "text": "The war?"},
        {"speaker": "agent", "text": "It was long."},
        {"speaker": "user", "text": " And when? "},
    ]
    row = {"history": history, "contexts": [{"id": "c/1", "text": "1812."}], "answerability": ["ANSWERABLE"]}
    write_rows(
        folder / "tasks.jsonl",
        row,
        {"history": history[:1], "contexts": [], "answerability": ["UNANSWERABLE"]},
        {"history": history[:1], "contexts": [], "answerability": ["PARTIAL"]},
    )
    found = read_dataset("multiturn", tmp_path, documents)
    assert found.questions == (
        Question(
            "And when?",
            history=(("The war?", "It was long."),),
            rewrite="When was the war?",
            sources=frozenset({"c%2F1.txt"}),
            answerable=True,
        ),
        Question("The war?", answerable=False),
        Question("The war?"),
    )
    assert found.documents == {"c%2F1.txt": "1812."}


def test_seeds_are_asked_of_the_documents_folder(tmp_path, documents):
    (tmp_path / "seeds").mkdir()
    rows = {
        "answerable": [{"question": "What began?", "any_of": ["war"], "sources": ["a.txt"]}],
        "unanswerable": ["What ended?"],
    }
    (tmp_path / "seeds" / "questions.json").write_text(json.dumps(rows), "utf-8")
    found = read_dataset("seeds", tmp_path, documents)
    assert (found.documents, found.folder) == ({"a.txt": "The war began."}, documents)
    assert found.questions == (
        Question("What began?", answers=("war",), sources=frozenset({"a.txt"}), answerable=True),
        Question("What ended?", answerable=False),
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"evidence_doc_ids": ["a", "b"]}, "line 1: evidence_doc_ids has 2 texts, not 1."),
        ({"evidence": []}, "line 1: evidence is empty."),
        ({"evidence": [{"start_index": 0}]}, "line 1: evidence[0] lacks end_index."),
        (
            {"evidence": [{"start_index": 1, "end_index": 1}]},
            "line 1: evidence[0]: start_index 1 and end_index 1 are no span of a.txt.",
        ),
        (
            {"evidence": [{"start_index": 0, "end_index": 2}]},
            "line 1: evidence[0]: start_index 0 and end_index 2 are no span of a.txt.",
        ),
        (
            {"evidence_doc_ids": ["b"]},
            "line 1: evidence[0] names b.txt, which is not among the documents.",
        ),
        ({"evidence": [{"start_index": "0"}]}, "line 1: evidence[0]: start_index is not a whole number."),
    ],
)
def test_a_bad_row_of_a_set_is_reported_with_its_place(tmp_path, documents, row, message):
    good = {"question": "?", "evidence_doc_ids": ["a"], "evidence": [{"start_index": 0, "end_index": 1}]}
    write_rows(tmp_path / "chroma" / "documents.jsonl", {"id": "a", "text": "b"})
    write_rows(tmp_path / "chroma" / "questions.jsonl", {**good, **row})
    with pytest.raises(EvaluationError) as raised:
        read_dataset("chroma", tmp_path, documents)
    assert str(raised.value) == f"{tmp_path / 'chroma' / 'questions.jsonl'}, {message}"


@pytest.mark.parametrize(
    "content", [None, b"{}", gzip.compress(b"{}" * 500, mtime=0)[:-9], gzip.compress(b"{}")[:12] + b"zz"]
)
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, documents, content):
    (tmp_path / "news2025").mkdir()
    if content is not None:
        (tmp_path / "news2025" / "documents.jsonl.gz").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"documents\.jsonl\.gz can't be read: "):
        read_dataset("news2025", tmp_path, documents)


def test_an_absent_set_and_an_unknown_one(tmp_path, documents):
    for name in READERS:
        with pytest.raises(AbsentSetError) as absent:
            read_dataset(name, tmp_path, documents)
        assert str(absent.value) == f"there is no folder {tmp_path / name}"
    with pytest.raises(EvaluationError) as raised:
        read_dataset("squad3", tmp_path, documents)
    assert str(raised.value) == (
        "There is no set squad3. Name a .jsonl file, or one of seeds, chroma, squad2, xquad, wikipedia490, "
        "news2024, news2025, multiturn, clapnq."
    )


def test_a_file_of_questions_is_read_beside_the_sets(tmp_path, documents):
    path = tmp_path / "own.jsonl"
    write_rows(path, {"question": "What?", "sources": ["a.txt"]})
    found = read_dataset(str(path), tmp_path, documents)
    assert (found.own, found.documents) == (True, {"a.txt": "The war began."})
    assert found.questions == (Question("What?", sources=frozenset({"a.txt"}), answerable=True),)


def test_every_id_makes_a_file_name_of_its_own():
    assert source_of("Super_Bowl_50#0") == "Super_Bowl_50#0.txt"
    assert source_of("../a/b") == "%2E.%2Fa%2Fb.txt"
    assert source_of("a b?") == "a b%3F.txt"
    assert source_of(".hidden") == "%2Ehidden.txt"
    long = {source_of("é" * 300), source_of("é" * 299 + "e")}
    assert len(long) == 2
    assert max(map(len, long)) < 200
