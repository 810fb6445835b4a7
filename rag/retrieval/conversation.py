"""A question in its conversation → what to search for, and what it is taken to mean.

What the turns before were about helps to find passages, for "Who told him so?" most of all, which can't be
understood alone. Earlier answers are never evidence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import QuestionError
from rag.text.analyzer import STOP_WORDS, names, stem, words

History = Sequence[tuple[str, str]]
"""Earlier (question, answer text) pairs, oldest first."""

MAX_TURNS = 20
"""How far back a conversation is looked at."""

TOPIC_TURNS = 3
"""How many of the last questions say what a conversation is about."""

MAX_TOPIC_CHARS = 1_000
"""How much of each turn is looked at: the end of a question, the beginning of an answer."""

_PRONOUNS = frozenset("he him his she her hers it its they them their theirs".split())
_POINTING = frozenset("this that these those".split())
_POINTED_FROM = frozenset(
    """
    is was are were did does do has had have will would can could should in of about for with from after
    before by to on at like than and or but
    """.split()
)
_PERIODS = frozenset(
    "second minute hour morning evening day week month season year decade century time".split()
)
_THE_FOLDER = frozenset("documents files articles texts papers notes pages sources folder collection".split())
"""What "these documents" stands for was there before any question."""

_EXPLETIVE_VERBS = frozenset("take takes took taken cost costs pay matter make".split())
_EXPLETIVE_REACH = 6
"""How many words after an "it" its clause may begin: "how much does it cost a family of four to …"."""

_DETERMINERS = frozenset("a an the this that these those my your his her its our their any".split())
_ELSEWHERE = frozenset("else latter others ones".split())
_BE = frozenset("is are was were be been".split())
_ARTICLES = frozenset("a an the".split())
_SMALL = frozenset(
    """
    for of in on at by to from with about during after before and or than is are was were do does did
    """.split()
)
_ELLIPSIS = re.compile(
    r"\s*(?:and,?\s+(?:(?:what|how)\s+about\s+)?|(?:what|how)\s+about\s+)"
    r"(?!(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|do|does|did|has|have|had|can|will)\b)"
    r"(?P<other>[^\s?]+(?:\s+[^\s?]+){0,5})\s*\?*\s*",
    re.I,
)
_ASKS_WHO = re.compile(r"\W*(?:who|whom|which\s+\w+|by\s+whom|what\s+is\s+the\s+name)\b", re.I)
_NAME = re.compile(
    r"(?:(?:[A-Z][a-z]{0,2}\.|[^\W\d_a-z][\w’'-]*|v[ao]n|d[aeiu]|del|la|bin|der|of)(?:\s+|$)){1,5}"
)
_PERSON = re.compile(r"\b(?:(?P<whose>his|her(?=\s+\w))|he|him|she|her)\b", re.I)
_ASKS_FOR_ONE = re.compile(r"\s*(?:who|what|where|when)(?:['’]s|\s+(?:is|are|was|were))\b", re.I)


@dataclass(frozen=True, slots=True)
class Context:
    """A question in its conversation.

    `question` is what is searched for, `text` what it is taken to mean, which can be read alone. `topic` is
    what the turns before were about, "" where there are none. `continues` says that the question can't be
    understood without them. `turns` are the last (question, answer text) pairs.
    """

    question: str
    text: str
    topic: str
    continues: bool
    turns: tuple[tuple[str, str], ...]


def in_context(question: str, history: History) -> Context:
    """The question in its conversation; `QuestionError` when the history isn't one."""
    if not isinstance(history, Sequence) or not all(map(_is_pair, history)):
        raise QuestionError("history must be pairs of texts, oldest first: [(question, answer text), ...]")
    question = encodable(question)
    last = [
        (encodable(asked[-MAX_TOPIC_CHARS:]), encodable(said[:MAX_TOPIC_CHARS]))
        for asked, said in history[-MAX_TURNS:]
    ]
    earlier = [turn for turn in last if words(turn[0])]
    turns = tuple(earlier[-TOPIC_TURNS:])
    meant = _meant(earlier)
    if turns and (alone := _alone(question, meant[-1], turns[-1][1])) is not None:
        return Context(alone, alone, "", False, turns)
    topic = " ".join(meant[-TOPIC_TURNS:])[-MAX_TOPIC_CHARS:].strip()
    if not earlier or not _continues(question):
        return Context(question, question, topic, False, turns)
    # The first question goes on from nothing, however it is put.
    start = next((asked for asked in reversed(meant) if not _continues(asked)), meant[0])
    if start not in meant[-TOPIC_TURNS:]:
        topic = f"{start} {topic}"[-MAX_TOPIC_CHARS:]
    return Context(question, f"{start} {question}", topic, True, turns)


def _meant(turns: Sequence[tuple[str, str]]) -> list[str]:
    """What each of the questions asked, put so that it stands alone where that is sure."""
    meant: list[str] = []
    said = ""
    for question, answer in turns:
        meant.append((_alone(question, meant[-1], said) if meant else None) or question)
        said = answer
    return meant


def _alone(question: str, asked: str, said: str) -> str | None:
    """The question with what it leaves to the last turn put in; None where that isn't sure.

    "And for the sea?" asks again, of something else; "he" is the person whom the last answer named.
    """
    if found := _ELLIPSIS.fullmatch(question):
        return _replaced(asked, found["other"])
    name = said.partition("\n")[0].strip()
    if not (_ASKS_WHO.match(asked) and _NAME.fullmatch(name)) or any(map(str.istitle, question.split()[1:])):
        return None
    possessive = name + ("’" if name.endswith("s") else "’s")
    put_in, count = _PERSON.subn(lambda word: possessive if word["whose"] else name, question, count=1)
    return put_in if count else None


def _replaced(asked: str, other: str) -> str | None:
    """The question asked of something else: what begins with the same small word, or the last name in it."""
    said = other.split()
    first, last = said[0].lower(), said[-1].lower()
    spans = [match.span() for match in re.finditer(r"[\w’'-]+", asked)]
    parts = [asked[start:end] for start, end in spans]
    lowered = [part.lower() for part in parts]
    if first in STOP_WORDS or first in _DETERMINERS:
        same = [at for at, word in enumerate(lowered) if word == first]
        alike = [at for at, word in enumerate(lowered) if {first, word} <= _ARTICLES]
        phrases = [(at, _phrase_end(parts, at, said)) for at in same or alike]
        # "the summer fare" is asked for in place of "the winter fare", wherever that stands
        phrases.sort(key=lambda phrase: (last in lowered[slice(*phrase)], phrase))
    else:
        kind = str.isdigit if other[0].isdigit() else str.isupper
        named = [at for at, part in enumerate(parts) if at and kind(part[0]) and kind(other[0])]
        starts = [at for at in named if at - 1 not in named]
        phrases = [(starts[-1], named[-1] + 1)] if named else []
    if not phrases:
        return None
    begin, stop = phrases[-1]
    if last in ("one", "ones"):
        other = f"{' '.join(said[:-1])} {parts[stop - 1]}"
    return f"{asked[: spans[begin][0]]}{other}{asked[spans[stop - 1][1] :]}"


def _phrase_end(words: Sequence[str], begin: int, said: Sequence[str]) -> int:
    """Where what begins at this word ends, that these other words are said in place of.

    Before the next small word, as many as they have left out; a verb after it stays, where a name or the
    same last word shows its end.
    """
    lowered = [word.lower() for word in words]
    small = [
        at for at in range(begin + 1, len(words)) if lowered[at] in _SMALL and lowered[at - 1] not in _SMALL
    ]
    inner = sum(word.lower() in _SMALL for word in said[2:])
    stop = [*small, len(words)][min(inner, len(small))]
    if (last := said[-1].lower()) in lowered[begin:stop]:
        return lowered.index(last, begin) + 1
    names = [at for at in range(begin + 1, stop) if words[at][0].isupper()]
    return names[-1] + 1 if names and any(word[0].isupper() for word in said) else stop


def encodable(text: str) -> str:
    """The text in characters that can be encoded."""
    return text.encode("utf-8", "replace").decode()


def _is_pair(turn: object) -> bool:
    return isinstance(turn, tuple | list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _continues(question: str) -> bool:
    """Whether the question stands for something said before it: it refers to it, or says next to nothing."""
    found = words(question)
    content = [word for word in found if word not in STOP_WORDS]
    named = {name for name in names(question) if not name.isdigit()}
    if not content or (len(content) == 1 and not named and not _ASKS_FOR_ONE.match(question)):
        return True
    for place, word in enumerate(found):
        if stem(word) in named:
            return False  # a pronoun after a name stands for that
        if _refers(word, found[:place], found[place + 1 :]):
            return True
    return False


def _refers(word: str, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a word, between these, stands for something that was said before the question."""
    last = before[-1] if before else ""
    following = after[0] if after else ""
    if word == "it" and _is_expletive(last, after):
        return False
    if word in _PRONOUNS or word in _ELSEWHERE:
        return True
    if word in _POINTING:
        points = not after or last in _POINTED_FROM
        return points and following not in _PERIODS and following not in _THE_FOLDER
    if word == "then":
        return not after
    return word == "there" and (not after or (last not in _BE and following not in _BE))


def _is_expletive(before: str, after: Sequence[str]) -> bool:
    """Whether an "it" stands for a clause that follows: "Is it true that …", "How long does it take to …".

    The clause has to be complete: what a bridge took "to build" is still asked of the bridge.
    """
    if before in _BE:
        if "that" in after[1:2]:
            return True
    elif not after or after[0] not in _EXPLETIVE_VERBS:
        return False
    clause = after[after.index("to") + 1 :] if "to" in after[:_EXPLETIVE_REACH] else []
    return len(clause) > 1 and clause[0] not in _DETERMINERS
