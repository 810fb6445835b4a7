"""Prompt templates: a file of the local `prompts/` folder, else its namesake in the package."""

import string
from collections.abc import Sequence
from pathlib import Path

from rag.errors import PromptError
from rag.shipped import shipped

QUOTE_TEMPLATE = "quote.txt"
_PLACEHOLDERS = {"evidence", "question"}


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
    found = set(template.get_identifiers())
    for name_missing in sorted(_PLACEHOLDERS - found):
        has = ", ".join(sorted(found)) or "none"
        raise PromptError(f"{path} needs ${name_missing}; it has: {has}")
    for unknown in sorted(found - _PLACEHOLDERS):
        known = ", ".join(f"${placeholder}" for placeholder in sorted(_PLACEHOLDERS))
        raise PromptError(f"{path} has ${unknown}, which nothing fills. Placeholders: {known}")
    return template


def render(template: string.Template, *, evidence: Sequence[str], question: str) -> str:
    """The message to the model: the evidence as numbered lines, from [1], and the question."""
    return template.substitute(
        evidence="\n".join(evidence_line(number, text) for number, text in enumerate(evidence, 1)),
        question=" ".join(question.split()),
    ).strip()


def evidence_line(number: int, text: str) -> str:
    """One sentence as the prompt shows it: on one line, so that no text can look like a label."""
    return f"[{number}] {' '.join(text.split())}"
