"""An answer → what a reader is shown of it, and that as text: for the terminal, for programs, as Markdown.

`describe` decides what is shown, the renderers below only how. The chat renders the same description as HTML
(see `chat/messages.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.answering.quotes import SEPARATOR
from rag.documents.folder import READABLE
from rag.types import Answer, Citation, Match, Passage

CONTEXT_CHARS = 160
"""How much of the passage is shown on each side of a quote."""

PREVIEW_CHARS = 140
"""How much of a passage is shown in a list."""

MAX_NEAREST = 3
"""How many passages are named below a refusal where they can't be clicked."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FOOTER = re.compile(r"\n\n(?:Sources:\n\[\d+\] |No quote, because )")
_MARKUP = re.compile(r"([\\`*_\[\]<>&#|~$])")
_ITEM = re.compile(r"^(\d+(?=[.)])|(?=[-+]))")
"""What makes a line a list item, up to the character that does."""


@dataclass(frozen=True, slots=True)
class Source:
    """A citation: its label, its quote, the place of the quote, and the text of its passage around it."""

    label: int
    quote: str
    place: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A passage in a list: its place and its first words."""

    place: str
    beginning: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an answer: the model's own words, "" if none, before the quote of `sources[source]`.

    The short answer has no source.
    """

    words: str
    source: int | None


@dataclass(frozen=True, slots=True)
class Description:
    """What a reader is shown of an answer.

    `text` is the whole answer, `lines` its lines with words and quotes apart. Of a refusal, `refusal` is the
    sentence that says why and `nearest` are the passages, best first; of an answer they are "" and empty.
    `meant` says how a question was understood that continues the conversation, "" for others. `notes` are
    sentences on how the answer was made, most often none.
    """

    text: str
    lines: tuple[Line, ...]
    sources: tuple[Source, ...]
    refusal: str
    nearest: tuple[Preview, ...]
    meant: str
    notes: tuple[str, ...]


def describe(answer: Answer) -> Description:
    """What a reader is shown of the answer; `ValueError` if a quote is in none of its passages."""
    return Description(
        text=answer.text,
        lines=tuple(_lines(answer)),
        sources=tuple(_source(answer, citation) for citation in answer.citations),
        refusal=f"No quote, because {answer.abstained}." if answer.abstained else "",
        nearest=tuple(map(preview, answer.passages)) if answer.abstained else (),
        meant="" if answer.taken_as is None else f"Taken to mean: {answer.taken_as}",
        notes=tuple(_notes(answer)),
    )


def passage_of(answer: Answer, citation: Citation) -> Passage:
    """The first passage of the answer that has the quote at its offsets; `ValueError` if none has.

    The label doesn't say which: it counts citations in the order of reading, and in conversations that
    browsers saved earlier it is the rank of the passage.
    """
    for passage in answer.passages:
        start, end = citation.start - passage.start, citation.end - passage.start
        inside = passage.source == citation.source and 0 <= start < end <= len(passage.text)
        if inside and passage.start >= 0 and passage.text[start:end] == citation.quote:
            return passage
    raise ValueError(f"no passage has the quote at {citation.source}, {citation.start}-{citation.end}")


def place(found: Citation | Passage, passage: Passage) -> str:
    """Where a passage, or a quote in it, is: file, section, date, page, characters, who repeats it."""
    parts = [found.source]
    if isinstance(found, Citation) and found.context:
        parts.append(found.context)
    if passage.date is not None:
        parts.append(passage.date)
    if found.page is not None:
        parts.append(f"page {found.page}")
    parts.append(f"characters {found.start}-{found.end}")
    if found.copies:
        parts.append(f"also in {counted(len(found.copies), 'other document')}")
    return ", ".join(parts)


def preview(passage: Passage) -> Preview:
    """The passage as it is shown in a list."""
    line = " ".join(passage.text[: 2 * PREVIEW_CHARS].split())
    return Preview(place(passage, passage), _cut(line, PREVIEW_CHARS))


def matched(match: Match | None) -> str:
    """How one kind of search sees a passage: its score and rank."""
    if match is None:
        return "none"
    return f"{match.score:.3f}, {'not ranked' if match.rank is None else f'rank {match.rank}'}"


def counted(count: int, noun: str) -> str:
    """The number with the noun, in the plural if need be: "1 passage", "2 passages"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def terminal(answer: Answer) -> str:
    """What the terminal shows below an answer's text: its sources, or why there is no quote, and notes."""
    shown = describe(answer)
    if shown.refusal:
        lines = [f"{shown.refusal} Nearest passages:" if shown.nearest else shown.refusal]
        lines += [f"  {passage.place}" for passage in shown.nearest[:MAX_NEAREST]]
    else:
        lines = [f"[{source.label}] {source.place}" for source in shown.sources]
    notes = "".join(f"\n\n{one_line(note)}" for note in _all_notes(shown))
    return "\n" + "\n".join(map(one_line, lines)) + notes


def footer(answer: Answer) -> str:
    """What follows an answer's text in a program that shows only text; `without_footer` takes it off."""
    shown = describe(answer)
    if shown.refusal:
        lines = [shown.refusal, *(["Nearest passages:"] if shown.nearest else [])]
        lines += [f"- {passage.place}" for passage in shown.nearest[:MAX_NEAREST]]
    else:
        lines = ["Sources:", *(f"[{source.label}] {source.place}" for source in shown.sources)]
    return "\n\n" + "\n".join(map(one_line, [*lines, *_all_notes(shown)]))


def without_footer(text: str) -> str:
    """The text of an answer that a program sends back with its footer."""
    # A quote may look like a footer, which itself is made of single lines: the last one is the footer.
    found = list(_FOOTER.finditer(text))
    return text[: found[-1].start()] if found else text


def listed(passages: Sequence[Passage]) -> str:
    """The passages with their places and their whole text, best first."""
    return "\n\n".join(
        f"{number}. {one_line(place(passage, passage))}\n{passage.text}"
        for number, passage in enumerate(passages, 1)
    )


def markdown(answer: Answer) -> str:
    """The answer as Markdown, in which no text of a document is markup."""
    shown = describe(answer)
    text = "\n>\n".join(f"> {literal(line)}" for line in shown.text.splitlines() if line.strip())
    items = [
        f"- \\[{source.label}\\] {literal(source.place)}: “{literal(source.quote)}”"
        for source in shown.sources
    ]
    items += [f"- {literal(note)}" for note in _all_notes(shown)]
    return "\n\n".join(filter(None, [text, literal(shown.refusal), "\n".join(items)]))


def literal(text: str) -> str:
    """The text on one line of Markdown, shown as it is."""
    return _ITEM.sub(r"\1\\", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def plain(text: str) -> str:
    """The text without control characters, which could command a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def not_read(passed_over: Sequence[tuple[str, int]]) -> str:
    """Which files of a folder aren't read, in a sentence; "" where all are."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over)
    return f"Not read: {kinds}. rag reads {' '.join(READABLE)}." if kinds else ""


def one_line(text: str) -> str:
    """A file name, or another text, on one line, so that none can look like a line of the answer."""
    return re.sub(r"\s", " ", plain(text))


def _lines(answer: Answer) -> Iterator[Line]:
    rest = answer.text
    if answer.short is not None and rest.startswith(f"{answer.short}{SEPARATOR}"):
        yield Line(answer.short, None)
        rest = rest.removeprefix(answer.short)
    for number, citation in enumerate(answer.citations):
        words, _, rest = rest.partition(f"“{citation.quote}” [{citation.label}]")
        yield Line(words.strip(), number)


def _source(answer: Answer, citation: Citation) -> Source:
    passage = passage_of(answer, citation)
    before = passage.text[: citation.start - passage.start]
    if len(before) > CONTEXT_CHARS:
        before = before[-CONTEXT_CHARS:]
        before = "…" + (before.partition(" ")[2] or before)
    after = _cut(passage.text[citation.end - passage.start :], CONTEXT_CHARS)
    return Source(citation.label, citation.quote, place(citation, passage), before, after)


def _notes(answer: Answer) -> Iterator[str]:
    if answer.left_out:
        yield f"{counted(answer.left_out, 'sentence')} did not fit the model's context."
    removed = f"Removed {counted(answer.dropped, 'sentence')} written by the model"
    if answer.guarantee == "location":
        checked = "quotes were checked against the documents"
        dropped = f" {removed}." if answer.dropped else ""
        yield f"The model's server does not support grammars: {checked}.{dropped}"
    elif answer.dropped:
        yield f"{removed}: not supported by {'its quote' if answer.dropped == 1 else 'their quotes'}."


def _all_notes(shown: Description) -> list[str]:
    return [note for note in (shown.meant, *shown.notes) if note]


def _cut(text: str, max_chars: int) -> str:
    """The text if it is not too long, else up to its last whole word, or anywhere if it has no spaces."""
    if len(text) <= max_chars:
        return text
    cut = text[:max_chars]
    return f"{cut.rpartition(' ')[0] or cut}…"
