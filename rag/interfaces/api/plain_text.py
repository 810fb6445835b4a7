"""An answer → the text that a program shows in place of the page: with where its quotes stand under it."""

import re
from collections.abc import Sequence

from rag.interfaces.cli.console import one_line
from rag.interfaces.rendering import notes, place
from rag.types import Answer, Passage

NEAREST = 3
"""How many passages an abstention shows."""

_FOOTER = re.compile(r"\n\n(?:Sources:\n\[\d+\] |No quote, because )")


def footer(answer: Answer) -> str:
    """What follows an answer's text: its sources, or why it has none and what is nearest, and its notes."""
    if answer.abstained:
        lines = [f"No quote, because {answer.abstained}."]
        if answer.passages:
            lines.append("Nearest passages:")
        lines += [f"- {one_line(place(passage, passage))}" for passage in answer.passages[:NEAREST]]
    else:
        lines = ["Sources:"]
        for citation in answer.citations:
            where = place(citation, answer.passages[citation.label - 1])
            lines.append(f"[{citation.label}] {one_line(where)}")
    return "\n\n" + "\n".join([*lines, *map(one_line, notes(answer))])


def without_footer(text: str) -> str:
    """The text of an answer that comes back with its footer."""
    # Quotes may look like a footer, which itself is made of single lines: the last is the footer.
    found = list(_FOOTER.finditer(text))
    return text[: found[-1].start()] if found else text


def listed(passages: Sequence[Passage]) -> str:
    """The passages with where they stand, best first."""
    return "\n\n".join(
        f"{number}. {one_line(place(passage, passage))}\n{passage.text}"
        for number, passage in enumerate(passages, 1)
    )
