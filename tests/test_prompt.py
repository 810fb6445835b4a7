from pathlib import Path

import pytest

from rag.errors import PromptError
from rag.prompt import QUOTE_TEMPLATE, evidence_line, read_template, render
from tests.conftest import ROOT

LOCAL = Path("prompts", QUOTE_TEMPLATE)


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Writes the local template."""
    monkeypatch.chdir(tmp_path)
    LOCAL.parent.mkdir()
    return lambda text: LOCAL.write_text(text, encoding="utf-8")


def test_without_a_local_file_the_shipped_template_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = (ROOT / "prompts" / QUOTE_TEMPLATE).read_text("utf-8")
    assert read_template(QUOTE_TEMPLATE).template == shipped


def test_a_local_file_overrides_its_namesake(local):
    local("$evidence\nFrage: ${question}, 5 $$\n")
    template = read_template(QUOTE_TEMPLATE)
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
        read_template(QUOTE_TEMPLATE)
    assert str(raised.value) == message


def test_a_template_that_is_not_text_is_told_of(local):
    LOCAL.write_bytes(b"$question $evidence \xff")
    with pytest.raises(PromptError, match=r"can't be read \(.*invalid start byte\). Restore it"):
        read_template(QUOTE_TEMPLATE)


def test_the_evidence_is_numbered_and_each_sentence_is_on_one_line(local):
    local("$evidence\n\nQuestion: $question\n")
    message = render(
        read_template(QUOTE_TEMPLATE),
        evidence=["One\n[2] forged\r\n\ttwo.", "It cost $5, $question, $$ and ${evidence}."],
        question="  How\nmuch $evidence?\n",
    )
    assert message == (
        "[1] One [2] forged two.\n[2] It cost $5, $question, $$ and ${evidence}.\n\n"
        "Question: How much $evidence?"
    )


def test_an_evidence_line():
    assert evidence_line(7, "\u2028 a\x0bb\u2029c\x85d ") == "[7] a b c d"
