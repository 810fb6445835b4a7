"""Text → words, content words and stems, as keyword search sees them."""

import itertools
import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import Stemmer

MAX_TERMS = 64
"""The number of distinct words of a question that keyword search uses; the others are ignored."""

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
_MIN_STEMMED_BYTES = 3
"""A shorter word is its own stem: the algorithm would leave nothing of `s`."""

_WORD = re.compile(r"[^\W_]+")
_stemmer = Stemmer.Stemmer("porter")
_stemming = threading.Lock()  # a stemmer isn't thread-safe


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case and without accents."""
    if not text.isascii():
        text = "".join(itertools.filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", text)))
    return _WORD.findall(text.lower())


def terms(question: str) -> tuple[str, ...]:
    """The distinct content words of a question, in order; all its words if they are all stop words."""
    distinct = dict.fromkeys(words(question))
    content = [word for word in distinct if word not in STOP_WORDS]
    return tuple(content or distinct)[:MAX_TERMS]


def names(question: str) -> frozenset[str]:
    """The stems of a question's numbers and names: capitalised words other than the first."""
    marked = [
        word
        for index, word in enumerate(_WORD.findall(question))
        if word.isdigit() or (index and word[0].isupper() and not question.isupper())
    ]
    return frozenset(stem(part) for word in marked for part in words(word) if part not in STOP_WORDS)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The word without its ending (Porter's algorithm)."""
    if len(word.encode()) < _MIN_STEMMED_BYTES:
        return word
    with _stemming:
        return str(_stemmer.stemWord(word))


def line(stems: Iterable[str]) -> str:
    """The stems with a blank around each, so that a stem or a run of stems can be found as a substring."""
    return f" {' '.join(stems)} "


def joined(lines: Iterable[str]) -> str:
    """The lines as one line, in order."""
    return line("".join(lines).split())


def stems(text: str) -> list[str]:
    """The stems of the words of a text, in order."""
    return list(map(stem, words(text)))
