import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from rag.interfaces.chat import html
from rag.interfaces.chat.html import as_literal, as_text, renderer
from tests.support.chat_examples import as_read, text_of

TEMPLATES = sorted((Path(html.__file__).parent / "templates").iterdir())


def test_whatever_is_no_letter_is_an_entity():
    assert as_text("<b>*x*</b> $1_\r\né") == "&#60;b&#62;&#42;x&#42;&#60;&#47;b&#62; &#36;1&#95;<br>é"
    assert as_text("") == ""


@given(st.text())
def test_text_is_shown_as_it_is(text):
    assert text_of(as_text(text)) == as_read(text.replace("\r", ""))
    assert text_of(as_literal(text)) == as_read(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_nothing_that_could_be_markup_is_left(text):
    without = re.sub(r"&#[0-9]+;|<br>", "", as_text(text))
    assert re.fullmatch(r"[0-9A-Za-z ]*", without)


def test_a_template_escapes_each_value_once_and_has_no_line_breaks():
    assert renderer("messages.html", as_text)("question", 3, "*a*\nb") == (
        '<p class="asked">&#42;a&#42;<br>b</p><p class="actions"><button type="button" class="action" '
        'value="edit-3" title="Edit this question&#59; everything after it is replaced">Edit</button></p>'
    )
    assert renderer("panes.html", as_literal)("hint", "<*a*>\nb") == '<p class="hint">&lt;*a*&gt;\nb</p>'


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        renderer("messages.html", as_text)("note")


def test_templates_are_escaped_by_their_renderer_alone():
    """What would mark a value as HTML, or join it to HTML before it is escaped, is in no template."""
    assert [path.name for path in TEMPLATES] == ["messages.html", "panes.html"]
    for path in TEMPLATES:
        code = re.findall(r"{[{%](.*?)[%}]}", re.sub(r"{#.*?#}", "", path.read_text("utf-8"), flags=re.S))
        assert not [found for found in code if re.search(r"\bsafe\b|Markup|autoescape|~|\| *e\b", found)]
