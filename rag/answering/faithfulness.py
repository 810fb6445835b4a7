"""A sentence that a model wrote + its quote → why the quote doesn't support it, if it doesn't (English).

The check is strict: a sentence may leave out parts of its quote and change small words, and no more. What it
can't decide counts as unsupported: a sentence that is dropped costs less than one that is wrong.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.text.analyzer import STOP_WORDS, names, stem, words

MIN_SIMILARITY = 0.3
"""The least cosine of sentence and quote. Supported sentences of the test set have 0.33 and more."""


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, text.split()))


_NEGATIONS = _stems(
    """
    no not never none nor neither without cannot nobody nothing nowhere hardly rarely seldom barely scarcely
    few deny denied fail refuse reject refute lack prevent false untrue wrong pretend avoid
    """
)
_LIMITS = _stems(
    """
    may might could would should will shall must can if unless allegedly reportedly possibly perhaps probably
    likely expected plan propose proposal consider scheduled hope aim intend seek try allege claim suspect
    threaten accuse believe think suggest rumour rumor almost nearly about half partly less fewer former ex
    vice deputy acting despite instead only say said tell told
    """
)
"""Doubts, attributions and words that narrow a meaning: what the quote has of them, the sentence needs."""

_SWEEPING = _stems("all every always entire most each everyone everything only")
"""Words that widen a meaning: the sentence may have none that the quote lacks."""

_NEUTRAL = _stems("also according document text source quote")
"""Words of content that a sentence may add."""

_NEGATING = frozenset("not never no".split())
"""Negations that stand between other words; they are compared by what comes after them."""

_BE = frozenset("be is are was were been being am".split())
_ARTICLES = frozenset("a an the its his her their this that these those".split())
_PREPOSITIONS = frozenset(
    """
    about above after against among as at because before below between by despite during for from in into near
    of off on out over since through to towards under until up with without within
    """.split()
)
_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen twenty
        """.split()
    )
}
_MAY = re.compile(r"\bMay\b")  # the month
_PIECE = re.compile(
    r"(?P<number>[-−]?[$€£¥]?\d+(?:[.,:/]\d+)*)|(?P<share>%|\bper ?cent(?:age)?\b)"
    r"|(?P<word>[^\W\d_][^\W_]*(?:n['’]t\b)?)|(?P<mark>[,;:()])",
    re.I,
)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of content or a number, as it compares, with what stands right before it.

    `preposition` is "" where none does, `passive` says that a form of "be" does, `apart` that a mark does.
    """

    text: str
    is_number: bool
    is_name: bool
    preposition: str
    passive: bool
    apart: bool


def unsupported(claim: str, quote: str, similarity: Callable[[str, str], float]) -> str | None:
    """Why the quote doesn't support the claim, or None when it does; `similarity` gives a cosine."""
    said, given = _tokens(claim), _tokens(quote)
    known = {token.text for token in given}
    shared = [token for token in said if token.text in known]
    lacking = [
        token for token in said if token.text not in known | _NEUTRAL and not _is_initials(token.text, quote)
    ]
    if not shared:
        return "nothing that the quote says"
    if any(token.is_number or token.is_name for token in lacking):
        return "a number or a name that the quote doesn't have"
    if _negated(claim) != _negated(quote):
        return "a negation that differs from the quote's"
    if not _is_as_narrow(claim, quote):
        return "more certain than the quote"
    if lacking:
        return "a word that the quote doesn't have"
    if not _is_arranged(shared, given):
        return "words put together that the quote keeps apart"
    if similarity(claim, quote) < MIN_SIMILARITY:
        return "another meaning than the quote's"
    return None


def _tokens(text: str) -> list[_Token]:
    """The numbers, names and words of content in order; a first word is a name where it is one elsewhere."""
    marked = names(f"x {text}")
    found: list[_Token] = []
    preposition, passive, apart, opening = "", False, False, True
    for match in _PIECE.finditer(re.sub(r"['’]s\b", "", text)):
        word = match[0].lower()
        if match["mark"]:
            apart = True
        elif match["word"] and word in _NEGATING:
            continue
        elif match["word"] and word in _BE:
            passive = True
        elif match["word"] and word in _PREPOSITIONS:
            preposition = word
        elif match["number"] or match["share"] or word in _DIGITS or word not in STOP_WORDS:
            number = match["number"] is not None or word in _DIGITS
            compared = "%" if match["share"] else _DIGITS.get(word, word.replace(",", ""))
            if not number and not match["share"]:
                compared = stem("".join(words(word)))
            is_name = not number and not opening and match[0][0].isupper() and compared in marked
            found.append(_Token(compared, number, is_name, preposition, passive, apart))
            preposition, passive, apart = "", False, False
        elif word not in _ARTICLES:
            preposition = ""
        opening = False
    return found


def _is_initials(word: str, text: str) -> bool:
    """Whether the word is made of the capitals of words that follow each other in the text."""
    letters = r"\w*\s+".join(re.escape(letter) for letter in word.upper())
    return len(word) > 1 and word.isalpha() and re.search(rf"\b{letters}", text) is not None


def _negated(text: str) -> frozenset[str]:
    """The words of content that come after a negation; "" where none does."""
    found = words(re.sub(r"n['’]t\b", " not", text, flags=re.I))
    return frozenset(
        next((stem(other) for other in found[place + 1 :] if other not in STOP_WORDS | _BE), "")
        for place, word in enumerate(found)
        if stem(word) in _NEGATIONS
    )


def _is_as_narrow(claim: str, quote: str) -> bool:
    """Whether the claim has what narrows the quote's meaning, and sweeps no wider."""
    in_claim, in_quote = (set(map(stem, words(_MAY.sub("", text)))) for text in (claim, quote))
    return in_claim & _SWEEPING <= in_quote and in_quote & _LIMITS <= in_claim


def _is_arranged(said: Sequence[_Token], given: Sequence[_Token]) -> bool:
    """Whether the claim has its words in the quote's order and company.

    Between two of them, only what follows a preposition or a mark may be left out, and beside a number no
    other number or name, beside a name no other name. A word keeps its preposition, and stays active or
    passive; a number keeps the multiplier or the sign for percent after it.
    """
    rest = list(given)
    before: _Token | None = None
    for token in said:
        place = next((place for place, other in enumerate(rest) if other.text == token.text), None)
        if place is None:
            return False
        found, passed = rest[place], rest[:place]
        if token.passive != found.passive and (found.passive or not token.is_name):
            return False
        if token.preposition and token.preposition != found.preposition:
            return False
        if before is not None:
            number = before.is_number or found.is_number
            name = number or before.is_name or found.is_name
            if passed and not (passed[0].preposition or passed[0].apart):
                return False
            if any((other.is_name and name) or (other.is_number and number) for other in passed):
                return False
            if before.is_number and passed and passed[0].text in _MULTIPLIERS:
                return False
        before, rest = found, rest[place + 1 :]
    return not (before and before.is_number and rest and rest[0].text in _MULTIPLIERS)


_MULTIPLIERS = _stems("hundred thousand million billion trillion % m bn k")
