"""Templates → HTML in which every value is shown as text.

A template can't forget to escape: whatever an expression gives, but for the HTML of another macro, goes
through the function that its renderer was made with.
"""

import re
from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup, escape

# HTML takes entities of U+0080 to U+009F for characters of Windows, so these stay as they are.
_NOT_A_LETTER = re.compile("[^\\w \x80-\x9f]|_")
_BREAKS = {"\n": "<br>", "\r": ""}


def as_text(text: str) -> str:
    """HTML that shows the text and nothing else, in Markdown too: whatever isn't a letter is an entity."""
    return _NOT_A_LETTER.sub(lambda found: _BREAKS.get(found[0], f"&#{ord(found[0])};"), text)


def as_literal(text: str) -> str:
    """HTML that shows the text with its line breaks as they are, for places that are not Markdown.

    A character that HTML can't show is replaced, so that offsets stay right.
    """
    return str(escape(text.replace("\0", "\N{REPLACEMENT CHARACTER}")))


def renderer(file: str, shown: Callable[[str], str]) -> Callable[..., str]:
    """Calls the macros of a template file by name: `render("note", text)` gives the HTML of its macro `note`.

    `shown` makes HTML of each value.
    """

    def finalize(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(shown(str(value)))

    environment = Environment(
        loader=PackageLoader("rag.interfaces.chat"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        extensions=[_OneLine],
    )
    macros = environment.get_template(file).module
    return lambda macro, *values: str(getattr(macros, macro)(*values))


class _OneLine(Extension):
    """Joins a template's lines: in Markdown a blank line ends HTML, and an indented line begins code."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return "".join(line.strip() for line in source.splitlines())
