"""Turns → the HTML of the conversation's messages."""

from collections.abc import Container, Sequence

from rag.interfaces.chat.conversation import Turn
from rag.interfaces.chat.html import as_text, renderer
from rag.interfaces.rendering import counted, describe, preview
from rag.types import Citation, Passage

_render = renderer("messages.html", as_text)


def question_html(number: int, question: str) -> str:
    """The question of the turn of this number, from 0, with a button to edit it."""
    return _render("question", number, question)


def note_html(text: str) -> str:
    """What the page says for itself."""
    return _render("note", text)


def growing_html(number: int, text: str, passages: Sequence[Passage], waiting: int = 0) -> str:
    """An answer in progress: the text so far, and the passages that are read.

    `waiting` is the number of questions that the model answers first.
    """
    if waiting:
        progress = (
            f"Waiting: {'1 question is' if waiting == 1 else f'{waiting} questions are'} ahead of yours."
        )
    else:
        progress = f"Reading {counted(len(passages), 'passage')}…"
    return _render("growing", number, text, progress, [*map(preview, passages)])


def turn_html(number: int, turn: Turn, changed: Container[Citation] = (), *, last: bool = False) -> str:
    """The answer of a turn with its buttons, or why there is none.

    `changed` are the citations whose document has changed since. Only the last question can be asked again.
    """
    if turn.answer is None:
        return _render("unanswered", number, turn.note, last)
    marked = {place for place, citation in enumerate(turn.answer.citations) if citation in changed}
    return _render("answered", number, describe(turn.answer), marked, turn.rating, last)
