"""The model's text → quotes with exact offsets, while it is still being written.

The text is read against the evidence, character by character: what doesn't match is not passed on,
so a label that names nothing, or a word that isn't there, can't reach the user, grammar or no grammar.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from rag.types import Citation, Passage, Sentence

SEPARATOR = "\n"
"""Between the quotes of an answer."""


def read_quotes(
    pieces: Iterable[str], evidence: Sequence[Sentence], passages: Sequence[Passage]
) -> Iterator[str | Citation]:
    """The answer's text as it grows, each quote followed by its `Citation` once it is complete.

    `pieces` is the model's text after an opening `[` (see `rag.grammar`). Nothing comes of a text that
    chooses no sentence.
    """
    stream = _Characters(pieces)
    quoted = False
    while (number := _label(stream)) is not None and 1 <= number <= len(evidence):
        sentence = evidence[number - 1]
        opening = (SEPARATOR if quoted else "") + "“"
        sent = 0
        for length in _copied(stream, sentence.text):
            yield opening + sentence.text[sent:length]
            opening, sent = "", length
        if not sent:
            return
        label = sentence.passage + 1
        yield f"” [{label}]"
        quoted = True
        quote = sentence.text[:sent]
        source = passages[sentence.passage].source
        yield Citation(label, source, sentence.start, sentence.start + sent, quote)
        if sent < len(sentence.text) or stream.take(2) != "\n[":
            return


class _Characters:
    """The characters of the pieces, one or some at a time; none once they have ended."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._characters = (character for piece in pieces for character in piece)

    def take(self, count: int) -> str:
        return "".join(itertools.islice(self._characters, count))


def _label(stream: _Characters) -> int | None:
    """The number of the `n] ` that comes next; 0 for the `0]` that chooses nothing."""
    digit, bracket = stream.take(1), stream.take(1)
    if not (digit.isascii() and digit.isdigit() and bracket == "]"):
        return None
    if digit != "0" and stream.take(1) != " ":
        return None
    return int(digit)


def _copied(stream: _Characters, text: str) -> Iterator[int]:
    """How many characters of the text have been copied, at each end of a word."""
    for length, expected in enumerate(text, 1):
        if stream.take(1) != expected:
            return
        if length == len(text) or (text[length].isspace() and not expected.isspace()):
            yield length
