"""Turns → HTML for the conversation, in which whatever comes from outside is text.

The links and buttons say by `href` and `value` what they are for, as in `cite-3-0` for the first citation of
the fourth turn (see `page.js`): the chat lets no other attributes through.
"""

from collections.abc import Container, Iterator, Sequence

from rag.answering.quotes import SEPARATOR
from rag.interfaces.chat.conversation import Rating, Turn
from rag.interfaces.rendering import notes, place
from rag.types import Answer, Citation, Passage

CONTEXT_CHARS = 160
"""How much of the passage is shown on each side of a quote."""

EXCERPT_CHARS = 140
"""How much is shown of a passage in a list."""

_CONTROLS = "".join(map(chr, range(0x80, 0xA0)))
"""HTML takes entities of these for characters of Windows."""

CHANGED = ' <span class="changed">changed since: this is what it said</span>'


def as_text(text: str) -> str:
    """HTML that shows the text and nothing else, in Markdown too: whatever isn't a letter is an entity."""
    return "".join(
        character
        if character.isalnum() or character == " " or character in _CONTROLS
        else "<br>"
        if character == "\n"
        else ""
        if character == "\r"
        else f"&#{ord(character)};"
        for character in text
    )


def question_html(number: int, question: str) -> str:
    """What was asked, with a button to ask it otherwise."""
    edit = _action("edit", number, "Edit", "Edit this question; what follows it is replaced")
    return f'<p class="asked">{as_text(question)}</p><p class="actions">{edit}</p>'


def note_html(text: str) -> str:
    """What the page says for itself."""
    return f'<p class="note">{as_text(text)}</p>'


def growing_html(number: int, text: str, passages: Sequence[Passage], waiting: int = 0) -> str:
    """The answer while it is made: the passages that are read, and what is written so far."""
    written = f'<p class="quote">{as_text(text)}</p>' if text else ""
    ahead = "1 question is" if waiting == 1 else f"{waiting} questions are"
    note = f"Waiting: {ahead} answered before yours." if waiting else f"Reading {_passages(len(passages))}…"
    found = passages_html(number, passages)
    return f'<div class="answer growing">{written}<p class="note">{note}</p>{found}</div>'


def turn_html(number: int, turn: Turn, changed: Container[Citation] = (), *, last: bool = False) -> str:
    """The answer of a turn, or why there is none; `changed` are citations whose document has changed since.

    What can be done with it stands below; only the last question can be asked again.
    """
    if turn.answer is None:
        again = _actions(_action("again", number, "Ask again", "Ask this question again")) if last else ""
        return f'<div class="answer failed"><p class="error">{as_text(turn.note)}</p>{again}</div>'
    kind = "answer declined" if turn.answer.abstained else "answer"
    content = "".join(
        _declined(number, turn.answer) if turn.answer.abstained else _quoted(number, turn.answer, changed)
    )
    known = [f'<p class="note">{as_text(note)}</p>' for note in notes(turn.answer)]
    meant, rest = (known[:1], known[1:]) if turn.answer.taken_as is not None else ([], known)
    actions = _actions(*_done(number, turn.rating, last))
    return f'<div class="{kind}">{"".join(meant)}{content}{"".join(rest)}{actions}</div>'


def passages_html(number: int, passages: Sequence[Passage]) -> str:
    """The passages as a list of links, each with how it begins."""
    items = "".join(
        f'<li><a class="cite" href="#passage-{number}-{position}">{as_text(place(passage, passage))}</a>'
        f"<br>{as_text(_beginning(passage.text))}</li>"
        for position, passage in enumerate(passages)
    )
    return f'<ol class="passages">{items}</ol>' if items else ""


def lines(answer: Answer) -> Iterator[tuple[str, int | None]]:
    """The text of the answer line by line: the model's own words, then the number of the citation it ends in.

    The short answer has no citation.
    """
    rest = answer.text
    if answer.short is not None and rest.startswith(f"{answer.short}{SEPARATOR}"):
        yield answer.short, None
        rest = rest.removeprefix(answer.short)
    for number, citation in enumerate(answer.citations):
        before, _, rest = rest.partition(f"“{citation.quote}” [{citation.label}]")
        yield before.strip(), number


def _quoted(number: int, answer: Answer, changed: Container[Citation]) -> Iterator[str]:
    """The short answer, each quote with the model's own words before it, and where the quotes stand."""
    for own, position in lines(answer):
        if position is None:
            yield f'<p class="short">{as_text(own)}</p>'
            continue
        citation = answer.citations[position]
        passage = answer.passages[citation.label - 1]
        label = f"[{citation.label}]{_tip(citation, passage)}"
        link = f'<a class="cite label" href="#cite-{number}-{position}">{label}</a>'
        words = f"{as_text(own)} " if own else ""
        yield f'<p class="quote">{words}“{as_text(citation.quote)}” {link}</p>'
    sources = "".join(
        f'<li><a class="cite" href="#cite-{number}-{position}">[{citation.label}] '
        f"{as_text(place(citation, answer.passages[citation.label - 1]))}</a>"
        f"{CHANGED if citation in changed else ''}</li>"
        for position, citation in enumerate(answer.citations)
    )
    yield f'<ul class="sources">{sources}</ul>'


def _declined(number: int, answer: Answer) -> Iterator[str]:
    yield f'<p class="refusal">{as_text(answer.text)}</p>'
    yield f'<p class="note">No quote, because {as_text(answer.abstained or "")}.</p>'
    if answer.passages:
        yield f'<p class="note">Nearest passages:</p>{passages_html(number, answer.passages)}'


def _tip(citation: Citation, passage: Passage) -> str:
    """What pointing at a citation shows: the quote in the text around it."""
    start, end = citation.start - passage.start, citation.end - passage.start
    before, after = passage.text[:start], passage.text[end:]
    if len(before) > CONTEXT_CHARS:
        before = before[-CONTEXT_CHARS:]
        before = "…" + (before.partition(" ")[2] or before)
    if len(after) > CONTEXT_CHARS:
        after = _cut(after, CONTEXT_CHARS)
    return (
        f'<span class="tip" hidden><b>{as_text(place(citation, passage))}</b><br>'
        f"{as_text(before)}<mark>{as_text(citation.quote)}</mark>{as_text(after)}</span>"
    )


def _done(number: int, rating: Rating | None, last: bool) -> Iterator[str]:
    yield _action("copy", number, "Copy", "Copy the answer with its sources")
    yield _action("inside", number, "Look inside", "Show how this answer came to be")
    up, down = (" pressed" if rating == kind else "" for kind in ("up", "down"))
    yield _action(
        "up", number, "Right ✓" if up else "Right", "This answer is right: keep that for rag eval", up
    )
    yield _action(
        "down", number, "Wrong ✓" if down else "Wrong", "This answer is wrong: keep that for rag eval", down
    )
    if last:
        yield _action("again", number, "Ask again", "Ask this question again")


def _action(what: str, number: int, name: str, title: str, more: str = "") -> str:
    return (
        f'<button type="button" class="action{more}" value="{what}-{number}" title="{title}">{name}</button>'
    )


def _actions(*buttons: str) -> str:
    return f'<p class="actions">{"".join(buttons)}</p>'


def _passages(count: int) -> str:
    return "1 passage" if count == 1 else f"{count} passages"


def _beginning(text: str) -> str:
    line = " ".join(text[: 2 * EXCERPT_CHARS].split())
    return line if len(line) <= EXCERPT_CHARS else _cut(line, EXCERPT_CHARS)


def _cut(text: str, max_chars: int) -> str:
    """The text up to its last whole word, or wherever it has no spaces."""
    cut = text[:max_chars]
    return f"{cut.rpartition(' ')[0] or cut}…"
