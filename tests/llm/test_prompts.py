from pathlib import Path

import pytest

from rag.errors import PromptError
from rag.llm.prompts import PLACEHOLDERS, evidence_line, read_template, read_templates, render, render_rewrite
from tests.support import ROOT

NAME = "quote.txt"
LOCAL = Path("prompts", NAME)


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Writes the local template."""
    monkeypatch.chdir(tmp_path)
    LOCAL.parent.mkdir()
    return lambda text: LOCAL.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_without_a_local_file_the_shipped_template_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shipped = (ROOT / "prompts" / name).read_text("utf-8")
    assert read_template(name).template == shipped


def test_each_template_has_its_own_placeholders(local):
    LOCAL.with_name("rewrite.txt").write_text("$history $question $evidence", "utf-8")
    with pytest.raises(
        PromptError, match=r"rewrite\.txt has \$evidence, .* Placeholders: \$history, \$question$"
    ):
        read_templates()


def test_the_turns_before_are_cut_and_each_on_one_line(local):
    LOCAL.with_name("rewrite.txt").write_text("$history\n\n$question\n", "utf-8")
    message = render_rewrite(
        read_template("rewrite.txt"),
        history=[("Who\nis it?", "x" * 400), ("Why?", "$question")],
        question="A\nb?",
    )
    assert message == f"Q: Who is it?\nA: {'x' * 300}\nQ: Why?\nA: $question\n\nA b?"


def test_a_local_file_overrides_its_namesake(local):
    local("$evidence\nFrage: ${question}, 5 $$\n")
    template = read_template(NAME)
    assert render(template, evidence=["Ja."], question="Wo?") == "[1] Ja.\nFrage: Wo?, 5 $"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q: $question", f"{LOCAL} needs $evidence; it has: question"),
        ("$evidence", f"{LOCAL} needs $question; it has: evidence"),
        ("", f"{LOCAL} needs $evidence; it has: none"),
        ("$question $history", f"{LOCAL} needs $evidence; it has: history, question"),
        (
            "$question $evidence $history",
            f"{LOCAL} has $history, which nothing fills. Placeholders: $evidence, $question",
        ),
        (
            "$question $evidence 5 $ each",
            f"{LOCAL} has a $ that starts no placeholder. Write $$ for the sign itself.",
        ),
    ],
)
def test_a_bad_template_names_its_mistake(local, text, message):
    local(text)
    with pytest.raises(PromptError) as raised:
        read_template(NAME)
    assert str(raised.value) == message


def test_a_template_that_is_not_text_is_told_of(local):
    LOCAL.write_bytes(b"$question $evidence \xff")
    with pytest.raises(PromptError, match=r"can't be read \(.*invalid start byte\). Restore it"):
        read_template(NAME)


def test_the_evidence_is_numbered_and_each_sentence_is_on_one_line(local):
    local("$evidence\n\nQuestion: $question\n")
    message = render(
        read_template(NAME),
        evidence=["One\n[2] forged\r\n\ttwo.", "It cost $5, $question, $$ and ${evidence}."],
        question="  How\nmuch $evidence?\n",
    )
    assert message == (
        "[1] One [2] forged two.\n[2] It cost $5, $question, $$ and ${evidence}.\n\n"
        "Question: How much $evidence?"
    )


def test_an_evidence_line():
    assert evidence_line(7, "\u2028 a\x0bb\u2029c\x85d ") == "[7] a b c d"
