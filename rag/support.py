"""A sentence that a model wrote + its quote → why the quote doesn't bear it out, if it doesn't (English).

The check is strict: a sentence may put the quote's words in other words of grammar, and no more. What it
can't tell is taken as not borne out, for a sentence that is dropped costs less than one that is wrong.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.words import STOP_WORDS, names, stem, words

MIN_SIMILARITY = 0.3
"""The least cosine of sentence and quote. Those of the test set that are borne out have 0.33 and more."""

_NEGATIONS = frozenset("no not never none nor neither without cannot nobody nothing nowhere hardly".split())
_NEGATING_VERBS = frozenset(map(stem, "deny fail refuse reject refute lack prevent".split()))
_HEDGES = frozenset(
    map(
        stem,
        """
        may might could would should if unless allegedly reportedly possibly perhaps probably likely expected
        planned plan propose proposal consider scheduled hope aim intend seek allege claim suspect threaten
        accuse believe think suggest rumour rumor almost nearly
        """.split(),
    )
)
_SWEEPING = frozenset("all every always only entire entirely most each everyone everything".split())
_NEUTRAL = frozenset(
    map(stem, "say said state tell told report according document text source quote call name also".split())
)
"""Words that a sentence may add: they say that something is said."""

_OPPOSITES = tuple(
    tuple(pair.split())
    for pair in """
        before after; until since; more less; more fewer; over under; above below; up down; in out; to from;
        first last; with without; now then; into from; for against; between beyond
    """.split(";")
)
"""Words too small to count as content that turn a meaning round."""

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
    r"(?P<number>[$€£¥]?\d+(?:[.,:/]\d+)*)|(?P<share>%|\bper ?cent(?:age)?\b)|(?P<word>[^\W\d_][^\W_]*)", re.I
)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of content or a number, as it compares."""

    text: str
    is_number: bool = False
    is_name: bool = False


def unsupported(claim: str, quote: str, similarity: Callable[[str, str], float]) -> str | None:
    """Why the quote doesn't bear the claim out, or None when it does.

    `similarity` gives the cosine of two texts. An empty claim says nothing, and nothing is wrong with it.
    """
    said, given = _tokens(claim), _tokens(quote)
    known = {token.text for token in given}
    lacking = [
        token for token in said if token.text not in known | _NEUTRAL and not _is_initials(token.text, quote)
    ]
    if any(token.is_number or token.is_name for token in lacking):
        return "a number or a name that the quote doesn't have"
    if _negated(claim) != _negated(quote):
        return "a negation that differs from the quote's"
    if not _hedges_stand(claim, quote):
        return "more certain than the quote"
    if lacking or _is_turned(claim, quote):
        return "a word that the quote doesn't have"
    if not _is_arranged([token for token in said if token.text in known], given):
        return "words put together that the quote keeps apart"
    if said and similarity(claim, quote) < MIN_SIMILARITY:
        return "another meaning than the quote's"
    return None


def _tokens(text: str) -> list[_Token]:
    """The numbers, names and words of content in order; a first word is a name where it is one elsewhere."""
    marked = names(f"x {text}")
    found: list[_Token] = []
    for match in _PIECE.finditer(re.sub(r"['’]s\b", "", text)):
        number, share, word = match["number"], match["share"], match["word"]
        if number or (word and word.lower() in _DIGITS):
            found.append(_Token(_DIGITS.get(match[0].lower(), match[0].replace(",", "")), is_number=True))
        elif share:
            found.append(_Token("%"))
        else:
            for part in words(word):
                if part not in STOP_WORDS:
                    capital = word[0].isupper() and stem(part) in marked
                    found.append(_Token(stem(part), is_name=capital and not _opens(match, text)))
    return found


def _opens(match: re.Match[str], text: str) -> bool:
    """Whether a word begins the text, and may have its capital from that."""
    return not text[: match.start()].strip()


def _is_initials(word: str, text: str) -> bool:
    """Whether the word is made of the capitals with which words of the text begin, one after the other."""
    capitals = "".join(match[0][0] for match in _PIECE.finditer(text) if match[0][0].isupper())
    return len(word) > 1 and word.upper() in capitals


def _negated(text: str) -> bool:
    found = words(text)
    return (
        not _NEGATIONS.isdisjoint(found)
        or not _NEGATING_VERBS.isdisjoint(map(stem, found))
        or re.search(r"n['’]t\b", text, re.I) is not None
    )


def _hedges_stand(claim: str, quote: str) -> bool:
    """Whether the claim has a doubt that the quote has, if it has any, and sweeps no wider."""
    in_claim, in_quote = words(_MAY.sub("", claim)), words(_MAY.sub("", quote))
    if not (_SWEEPING & set(in_claim)) <= set(in_quote):
        return False
    doubts = _HEDGES & set(map(stem, in_quote))
    return not doubts or not doubts.isdisjoint(map(stem, in_claim))


def _is_turned(claim: str, quote: str) -> bool:
    """Whether a small word of the claim says the opposite of one of the quote."""
    in_claim, in_quote = set(words(claim)), set(words(quote))
    return any(
        word in in_claim - in_quote and other in in_quote - in_claim
        for one, another in _OPPOSITES
        for word, other in ((one, another), (another, one))
    )


def _is_arranged(said: Sequence[_Token], given: Sequence[_Token]) -> bool:
    """Whether the claim has its words in the quote's order, and no name or number with another's words.

    Between a number and the word before or after it no other name or number may be passed over, and no other
    name between a name and a word.
    """
    rest = list(given)
    before: _Token | None = None
    for token in said:
        place = next((place for place, other in enumerate(rest) if other.text == token.text), None)
        if place is None:
            return False
        if before is not None:
            number = before.is_number or token.is_number
            name = number or before.is_name or rest[place].is_name
            if any((other.is_name and name) or (other.is_number and number) for other in rest[:place]):
                return False
        before, rest = rest[place], rest[place + 1 :]
    return True
