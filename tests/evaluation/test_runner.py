"""`rag eval`, as it is typed."""

import json
import re

import pytest

from rag.evaluation.datasets import Question, read_questions
from rag.evaluation.runner import USAGE
from rag.interfaces.cli import arguments, main
from tests.support import ROOT
from tests.support.question_files import DOCUMENTS, write_rows

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def seeds(tmp_path):
    """The documents folder, with an index of it."""
    (tmp_path / "seeds").mkdir()
    for source, text in DOCUMENTS.items():
        (tmp_path / "seeds" / source).write_text(text, "utf-8")
    assert main.main(["build"]) == 0


@pytest.fixture
def bench(tmp_path):
    """A folder of sets with one set, xquad."""
    folder = tmp_path / "bench" / "xquad"
    write_rows(
        folder / "paragraphs.jsonl",
        *({"id": source.removesuffix(".txt"), "text": text} for source, text in DOCUMENTS.items()),
    )
    row = {"question": "Where is salt mined?", "answers": ["Wieliczka"], "evidence_doc_ids": ["salt"]}
    write_rows(folder / "questions.jsonl", row | {"type": "answerable"})
    return folder.parent


def test_without_a_file_it_shows_what_to_write_and_what_to_type(tmp_path, capsys):
    assert main.main(["eval"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", USAGE + "\n")
    assert "\n  rag eval questions.jsonl\n" in err


def test_the_example_that_it_shows_can_be_read(tmp_path):
    (line,) = re.findall(r"^  (\{.*\})$", USAGE, re.M)
    (tmp_path / "questions.jsonl").write_text(line, "utf-8")
    (question,) = read_questions("questions.jsonl", tmp_path / "none").questions
    assert question == Question(
        "Who is the Kremlin spokesman?",
        answers=("Peskov",),
        sources=frozenset({"report.txt"}),
        answerable=True,
    )


@pytest.mark.model
def test_ones_own_questions_are_asked_of_ones_own_index(seeds, tmp_path, capsys):
    write_rows(tmp_path / "own.jsonl", {"question": "Where is salt mined?", "sources": ["salt.txt"]})
    capsys.readouterr()
    assert main.main(["eval", "own.jsonl", "--search-only", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (report,) = found["sets"]
    assert (report["name"], report["documents"], report["questions"]) == ("own", 2, 1)
    assert (report["metrics"]["hit@1"], report["counts"]["hit@1"]) == (1.0, 1)
    assert found["skipped"] == []


def test_without_an_index_it_says_how_to_build_one(tmp_path, capsys):
    write_rows(tmp_path / "own.jsonl", {"question": "Where is salt mined?"})
    assert main.main(["eval", "own.jsonl", "--search-only"]) == 1
    assert capsys.readouterr().err == "rag: No index in index/. Build it: rag build\n"


@pytest.mark.model
def test_questions_of_another_file_should_be_refused(seeds, tmp_path, capsys):
    write_rows(tmp_path / "pizza.jsonl", {"question": "What does pizza cost in Naples?", "answers": ["5"]})
    write_rows(tmp_path / "own.jsonl", {"question": "Where is salt mined?"})
    capsys.readouterr()
    assert main.main(["eval", "pizza.jsonl", "--of", "own.jsonl", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["sets"]
    assert (report["name"], report["documents"], report["questions"]) == ("pizza of own", 2, 1)
    assert report["metrics"]["refused_right"] == 1.0
    assert "answered" not in report["metrics"]


@pytest.mark.model
def test_the_table_has_the_sets_that_are_there(bench, capsys):
    status = main.main(["eval", "--bench=bench", "--search-only", "xquad", "chroma"])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "rag: skipped chroma: there is no folder bench/chroma\n")
    lines = [line.split() for line in out.splitlines()]
    assert lines[:4] == [["xquad"], ["documents", "2"], ["questions", "1"], ["precision", "int8"]]
    assert lines[5:] == [["hit@1", "1.000"], ["hit@5", "1.000"], ["hit@10", "1.000"], ["mrr@10", "1.000"]]


@pytest.mark.model
def test_without_a_name_all_sets_of_the_folder_are_measured(bench, capsys):
    assert main.main(["eval", "--bench=bench", "--search-only", "--json", "--limit=1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [report["name"] for report in found["sets"]] == ["xquad"]
    assert found["skipped"][0] == {"name": "seeds", "reason": "there is no folder bench/seeds"}
    assert len(found["skipped"]) == 8


@pytest.mark.model
def test_what_was_measured_before_an_error_is_shown(bench, capsys):
    (bench / "chroma").mkdir()
    assert main.main(["eval", "--bench=bench", "--search-only", "xquad", "chroma"]) == 1
    out, err = capsys.readouterr()
    assert (out, "chroma/documents.jsonl can't be read" in err) == ("", True)  # before any is measured
    write_rows(bench.parent / "own.jsonl", {"question": "Where is salt mined?"})
    assert main.main(["eval", "--bench=bench", "--search-only", "xquad", "own.jsonl"]) == 1
    out, err = capsys.readouterr()
    assert (out.split()[0], err) == ("xquad", "rag: No index in index/. Build it: rag build\n")


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (["squad2"], 1, "rag: There is no file squad2. Name a .jsonl file of your questions; "),
        (
            ["--bench=bench", "squad3"],
            1,
            "rag: There is no set squad3. Name a .jsonl file, or one of seeds, ",
        ),
        (["--limit=0", "own.jsonl"], 2, "argument --limit: 0 is not a whole number from 1"),
    ],
)
def test_it_says_what_is_wrong(given, status, message, capsys):
    found: object
    try:
        found = main.main(["eval", *given])
    except SystemExit as error:
        found = error.code
    assert found == status
    assert message in capsys.readouterr().err


def test_an_installation_without_the_recipe_knows_no_sets(monkeypatch, capsys):
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main.main(["eval", "--help"])
    assert "--bench" not in capsys.readouterr().out
    assert main.main(["eval"]) == 2
    assert capsys.readouterr().err == USAGE + "\n"


@pytest.mark.parametrize("folder", ["rag", "tests"])
def test_no_default_leads_out_of_the_project(folder):
    outside = re.compile(r"""default=.*["(]\.\./""")
    assert not [path for path in (ROOT / folder).rglob("*.py") if outside.search(path.read_text("utf-8"))]
