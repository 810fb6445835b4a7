"""Prompt templates: a file of the local `prompts/` folder, else its namesake in the package."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.errors import PromptError
from rag.resources import shipped

PLACEHOLDERS = {
    "quote.txt": {"evidence", "question"},
    "compose.txt": {"evidence", "question"},
    "rewrite.txt": {"history", "question"},
}
"""The templates with their placeholders."""

MAX_TURN_CHARS = 300


def read_template(name: str) -> string.Template:
    """The template of that name; `PromptError` if it can't be read or lacks a placeholder."""
    local = Path("prompts", name)
    path = local if local.is_file() else shipped("prompts") / name
    try:
        template = string.Template(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} can't be read ({error}). Restore it, or delete it.") from error
    if not template.is_valid():
        raise PromptError(f"{path} has a $ that starts no placeholder. Write $$ for the sign itself.")
    found, placeholders = set(template.get_identifiers()), PLACEHOLDERS[name]
    for name_missing in sorted(placeholders - found):
        has = ", ".join(sorted(found)) or "none"
        raise PromptError(f"{path} needs ${name_missing}; it has: {has}")
    for unknown in sorted(found - placeholders):
        known = ", ".join(f"${placeholder}" for placeholder in sorted(placeholders))
        raise PromptError(f"{path} has ${unknown}, which nothing fills. Placeholders: {known}")
    return template


@dataclass(frozen=True, slots=True)
class Templates:
    """The prompt templates of an engine."""

    quote: string.Template
    compose: string.Template
    rewrite: string.Template


def read_templates() -> Templates:
    """All templates; errors as in `read_template`."""
    return Templates(*(read_template(name) for name in PLACEHOLDERS))


def render(template: string.Template, *, evidence: Sequence[str], question: str) -> str:
    """The message to the model: the evidence as numbered lines, from [1], and the question."""
    return template.substitute(
        evidence="\n".join(evidence_line(number, text) for number, text in enumerate(evidence, 1)),
        question=_line(question),
    ).strip()


def render_rewrite(template: string.Template, *, history: Sequence[tuple[str, str]], question: str) -> str:
    """The message that asks for a question that stands alone, with the earlier turns, each shortened."""
    turns = [
        f"Q: {_line(asked)[:MAX_TURN_CHARS]}\nA: {_line(said)[:MAX_TURN_CHARS]}" for asked, said in history
    ]
    return template.substitute(history="\n".join(turns), question=_line(question)).strip()


def evidence_line(number: int, text: str) -> str:
    """One sentence as the prompt shows it: on one line, so that no text can look like a label."""
    return f"[{number}] {_line(text)}"


def _line(text: str) -> str:
    return " ".join(text.split())
