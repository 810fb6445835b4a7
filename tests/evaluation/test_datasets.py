import pytest

from rag.errors import EvaluationError
from rag.evaluation.datasets import Question, read_questions
from tests.support.question_files import write_rows


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("The war began.", "utf-8")
    return folder


def test_a_users_own_questions(tmp_path, documents):
    path = tmp_path / "own.jsonl"
    write_rows(path, {"question": "What?", "answers": ["war"], "sources": ["a.txt"]}, {"question": "Why?"})
    found = read_questions(str(path), documents)
    assert found.questions == (
        Question("What?", answers=("war",), sources=frozenset({"a.txt"}), answerable=True),
        Question("Why?"),
    )
    assert (found.name, found.own, found.documents) == ("own", True, {"a.txt": "The war began."})


def rated(question: str, rating: str | None, text: str = "said", **right) -> dict:
    return {"question": question, "rating": rating, "text": text, **right}


WAR = {"answers": ["war"], "sources": ["a.txt"]}
RIGHT = Question("What?", answers=("war",), sources=frozenset({"a.txt"}), answerable=True)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([rated("What?", "up", **WAR)], [RIGHT]),
        ([rated("What?", "up", answers=[], sources=[])], [Question("What?", answerable=False)]),
        ([rated("What?", "down")], [Question("What?")]),
        ([rated("What?", "up", **WAR), rated("What?", "down")], [Question("What?")]),
        ([rated("What?", "down", "other"), rated("What?", "up", **WAR)], [RIGHT]),
        ([rated("What?", "up", **WAR), rated("What?", "down", "other")], [Question("What?")]),
        ([rated("What?", "up", **WAR), rated("What?", "down", "b"), rated("What?", None, "b")], [RIGHT]),
        ([rated("What?", "up", **WAR), rated("What?", None), rated("Why?", "down")], [Question("Why?")]),
        (
            [{"question": "What?"}, rated("What?", "up", **WAR), {"question": "What?"}],
            [Question("What?"), Question("What?"), RIGHT],
        ),
        ([rated("What?", "up", answers=["war"], sources=["a.txt", "gone.txt"])], [RIGHT]),
        ([rated("Why?", "up", answers=["so"], sources=["gone.txt"]), rated("What?", "up", **WAR)], [RIGHT]),
    ],
)
def test_ratings_are_questions_of_which_the_last_counts(tmp_path, documents, rows, expected):
    path = tmp_path / "feedback.jsonl"
    write_rows(path, *rows)
    assert [*read_questions(str(path), documents).questions] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"question": "a"}\n\n{"answers": []}\n', "line 3 lacks question."),
        (b'{"question": 5}', "line 1: question is not a text."),
        (b'{"question": "a"}\n{"question": "b", "answers": "c"}', "line 2: answers is not a list of texts."),
        (b'{"question": "a", "sources": [1]}', "line 1: sources is not a list of texts."),
        (b'"question"', "line 1 is not a JSON object."),
        (
            b'{"question": "a", "answer": ["b"]}',
            "line 1 has answer; it may have question, answers, sources, rating, text.",
        ),
        (b'{"question": "a", "rating": "maybe"}', 'line 1: rating must be one of "up", "down", null.'),
        (b'{"question": "a", "rating": "up"}', "line 1 lacks text."),
        (b'{"question": " "}', "line 1: question has 0 characters; write 1 to 4,000."),
        (
            b'{"question": "a", "sources": ["b.txt"]}',
            "line 1 names b.txt, which is not among the documents.",
        ),
        (b'{"question": "a"}\nquestion', "line 2 is not JSON: Expecting value: line 1 column 1 (char 0)."),
        (b'{"question": "a"}\n{"question": "\xff"}', "line 2 is not UTF-8 text."),
    ],
)
def test_a_bad_row_is_reported_with_its_file_and_line(tmp_path, documents, content, message):
    path = tmp_path / "own.jsonl"
    path.write_bytes(content)
    with pytest.raises(EvaluationError) as raised:
        read_questions(str(path), documents)
    assert str(raised.value) == f"{path}, {message}"


def test_a_question_file_may_have_a_byte_order_mark(tmp_path, documents):
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "What?"}\r\n')
    assert read_questions(str(path), documents).questions == (Question("What?"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "is not JSON: "),
        (b'{"question": ' + b"1" * 5000 + b"}", "is not JSON: "),
        (b"\n\n", "own.jsonl has no question."),
    ],
)
def test_odd_files_are_reported(tmp_path, documents, content, message):
    path = tmp_path / "own.jsonl"
    path.write_bytes(content)
    with pytest.raises(EvaluationError) as raised:
        read_questions(str(path), documents)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["none.jsonl", "squad2", "x" * 300])
def test_a_file_that_is_not_there(documents, name):
    with pytest.raises(EvaluationError) as raised:
        read_questions(name, documents)
    assert str(raised.value) == (
        f"There is no file {name}. Name a .jsonl file of your questions; "
        "rag eval without a name shows what to write in it."
    )


def test_a_folder_is_not_a_file_of_questions(tmp_path, documents):
    with pytest.raises(EvaluationError, match=r"documents can't be read: .*Is a directory"):
        read_questions(str(documents), documents)


def test_own_questions_without_the_documents_folder(tmp_path):
    path = tmp_path / "own.jsonl"
    write_rows(path, {"question": "What?", "sources": ["a.txt"]})
    found = read_questions(str(path), tmp_path / "absent")
    assert found.documents == {}
    assert found.questions == (Question("What?", sources=frozenset({"a.txt"}), answerable=True),)
