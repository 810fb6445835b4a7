"""What a question's words are worth: content words, without the commonest, and their stems."""

import itertools
import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import Stemmer

MAX_TERMS = 64
"""Distinct words of a question that count; a longer question is cut there for keyword search."""

STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being below
    between both but by can could did do does doing down during each few for from further had has have
    having he her here hers herself him himself his how i if in into is it its itself just me more most my
    myself no nor not now of off on once only or other our ours ourselves out over own same she should so
    some such than that the their theirs them themselves then there these they this those through to too
    under until up very was we were what when where which while who whom whose why will with would you
    your yours yourself yourselves tell please
    """.split()
)
_WITH_ENDING = 3
"""A word of fewer bytes has none: of `s` the algorithm would leave nothing."""

_WORD = re.compile(r"[^\W_]+")
_stemmer = Stemmer.Stemmer("porter")
_stemming = threading.Lock()  # a stemmer serves one thread at a time


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case and without accents, as keyword search sees them."""
    if not text.isascii():
        text = "".join(itertools.filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", text)))
    return _WORD.findall(text.lower())


def terms(question: str) -> tuple[str, ...]:
    """The distinct words that say what a question is about, in order; all words if none would be left."""
    distinct = dict.fromkeys(words(question))
    content = [word for word in distinct if word not in STOP_WORDS]
    return tuple(content or distinct)[:MAX_TERMS]


def names(question: str) -> frozenset[str]:
    """The stems of the names and numbers of a question: figures, and words with a capital but the first."""
    found = _WORD.findall(question)
    marked = [
        word
        for place, word in enumerate(found)
        if word.isdigit() or (place and word[0].isupper() and not question.isupper())
    ]
    return frozenset(stem(part) for word in marked for part in words(word) if part not in STOP_WORDS)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The word without its ending, as keyword search sees it (Porter's algorithm)."""
    if len(word.encode()) < _WITH_ENDING:
        return word
    with _stemming:
        return str(_stemmer.stemWord(word))


def line(stems: Iterable[str]) -> str:
    """The stems, each between blanks: of one of them, and of a run, it is a part."""
    return f" {' '.join(stems)} "


def joined(lines: Iterable[str]) -> str:
    """One line of the stems of several, in order."""
    return line("".join(lines).split())


def stems(text: str) -> list[str]:
    """The stems of the words of a text, in order."""
    return list(map(stem, words(text)))
