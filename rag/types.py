"""The values that pass between stages: frozen, plain, without behaviour.

Offsets are characters into a document's text, `end` exclusive, so `text[start:end]` is always the
piece that is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias


class _Short:
    """A repr of one line, however much the value has: texts are cut, and what has parts is counted."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        values = (f"{name}={_short(getattr(self, name))}" for name in self.__slots__)
        return f"{type(self).__name__}({', '.join(values)})"


def _short(value: object) -> str:
    if isinstance(value, str) and len(value) > 60:
        return f"{value[:59]!r}…"
    if isinstance(value, tuple | Mapping):
        return f"<{len(value):,}>"
    return repr(value)


BlockKind: TypeAlias = Literal[
    "heading", "paragraph", "item", "row", "code", "quotation", "question", "answer", "field",
    "caption", "footnote", "furniture", "metadata",
]  # fmt: skip
"""What a block is: an `item` of a list; a `row` of a table; a `field`, a label or term with its value;
`furniture` of a page, such as its number, header and footer, or of a web page; `metadata` such as the headers
of a mail or front matter."""


@dataclass(frozen=True, slots=True, repr=False)
class Block(_Short):
    """A part of a document's text with a role of its own: no sentence runs over its ends.

    The blocks of a document are in order, don't overlap, and have every character that isn't white space.
    `level` is that of a heading, from 1, or how deep an item is nested, from 1; else 0. `header` are spans of
    the text that say what the block is about: of a row the header cell of each of its cells, in order, (0, 0)
    for a cell without one, and none at all for a row that is itself a header; of an item its lead-in, of an
    answer its question, of a caption or a code what leads to it; none where there is none. Headings are not
    among them: those before a block, by their levels, are its section.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    header: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Document(_Short):
    """One file: `source` is its path relative to the documents folder, with `/`.

    `title` and `date`, which is YYYY-MM-DD, are None where it doesn't say. `pages` are the offsets in the
    text at which its pages begin, none where its format has no pages.
    """

    source: str
    text: str
    sha256: str
    title: str | None = None
    date: str | None = None
    pages: tuple[int, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Chunk(_Short):
    """A span of a document, the unit that is embedded: `text == document.text[start:end]`.

    `sentences` are (start, end) in the document. `context` is what stands before it and says what it
    is about, on one line: the headings of its section, the header of its table. It is searched too.
    """

    start: int
    end: int
    text: str
    sentences: tuple[tuple[int, int], ...] = ()
    context: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Match(_Short):
    """How one kind of search sees a passage: `rank` from 1, None beyond the ranks looked at."""

    rank: int | None
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class Passage(_Short):
    """A chunk retrieved for a question; `score` is 0 to 1, higher is nearer.

    `dense` is its cosine with the question, `keyword` its BM25, or None when keyword search
    didn't bring it.
    `title`, `date` (ISO) and `page`, from 1, that of its first character, are None where the document has
    none. `copies` are up to 20 near-duplicate documents that say the same here.
    """

    source: str
    start: int
    end: int
    text: str
    score: float
    dense: Match | None = None
    keyword: Match | None = None
    title: str | None = None
    date: str | None = None
    page: int | None = None
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Scope(_Short):
    """The documents that are asked: of `sources`, dated from `since` to `until`, both ISO and both included.

    What is None limits nothing.
    """

    since: str | None = None
    until: str | None = None
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Signals(_Short):
    """What speaks for a sentence as the answer to a question: at most 1 each, but for `lacking`.

    `cosine` is that of the sentence as it was read in its chunk. `covered` is the share of the question's
    rare words that it has, `with_before` the share that it has together with the sentence before.
    `passage` is the score of its passage. `of_the_kind` says that it has an answer of the kind that is
    asked for. `lacking` is the rarity of the rarest name or number in the question that the passage lacks.
    `section` is the share of such names that the headings and the document's name have, `newest` says that
    other versions of its passage are older, `led` that a header or a lead-in belongs to it.
    """

    cosine: float
    covered: float
    with_before: float
    passage: float
    of_the_kind: bool
    lacking: float
    section: float = 0.0
    newest: bool = False
    led: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Reading(_Short):
    """What a reader made of a sentence: the log-odds that it answers, against that none does.

    Its characters from `start` to `end` are the short answer with this probability, if it answers; with 0
    there is none.
    """

    odds: float
    start: int
    end: int
    probability: float


@dataclass(frozen=True, slots=True, repr=False)
class Sentence(_Short):
    """A sentence of a passage, offered to the model as evidence.

    `passage` is the 0-based position of its passage among the passages of the answer; `start` and
    `end` are offsets into the document; `score` is what its signals are worth together, and what a reader
    made of it: `reading`, None where none read it. `before` is the text right before it in its passage, the
    sentence before; `lead_in` is the same where the sentence begins with a word like "he" that needs it,
    else "". `page` is the number of its page, from 1, if the document has pages. `copies` are the
    near-duplicate documents that say the same here. `led_page` and `led_copies` are those of the lead-in and
    the sentence together, where there is one. `context` are the headings that it stands under
    and what leads to it, on one line. `whole` is what it is quoted with, such as its list; None for
    itself alone.
    """

    passage: int
    start: int
    end: int
    text: str
    score: float
    signals: Signals
    lead_in: str = ""
    before: str = ""
    reading: Reading | None = None
    page: int | None = None
    copies: tuple[str, ...] = ()
    led_page: int | None = None
    led_copies: tuple[str, ...] = ()
    context: str = ""
    whole: Chunk | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Citation(_Short):
    """A verbatim quote: `label` is n of `[n]`, from 1 in the order in which an answer is read.

    `page` is the number of its page, from 1, or None where the document has no pages. `copies` are up to 20
    other documents that are near-duplicates and have the quote too, word for word. `context` are the headings
    above the quote, and the header of its row or what leads to its item, on one line.
    """

    label: int
    source: str
    start: int
    end: int
    quote: str
    page: int | None = None
    copies: tuple[str, ...] = ()
    context: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Evidence(_Short):
    """A sentence that was considered for an answer: `label` is the 1-based position of its passage.

    `score` is what it is worth, as in `Sentence`; `odds` are the reader's log-odds that it answers, None
    where none read it. `shown` says that it stood in the language model's prompt.
    """

    label: int
    source: str
    start: int
    end: int
    text: str
    score: float
    odds: float | None
    shown: bool


@dataclass(frozen=True, slots=True, repr=False)
class Answer(_Short):
    """What a question got: a text with its citations, or the reason why there is none.

    `text` is what a person reads. `short` is a verbatim span inside a citation's quote, or None.
    `passages` are the nearest passages, best first, with their text, so that the answer stays
    valid when the index changes. `abstained` is None for an answer. `timings` is seconds by stage.
    `confidence` is the probability, 0 to 1, that the best sentence answers the question. `taken_as` is what
    a question that continues earlier ones was taken to mean, or None. `left_out` counts the sentences
    that bear on the question for which the model had no room, `dropped` the model's own sentences that its
    quotes don't support. `evidence` are the sentences that were considered, at most 8, best first.
    `prompt_tokens` is the length of the prompt in which the model read evidence, 0 where it wasn't asked.
    `guarantee` says what makes the quotes exact: the `grammar` that held the model, or `location`, where its
    server takes none: then they were looked for in the documents, and those that don't stand there left out.
    """

    question: str
    text: str
    short: str | None
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    abstained: str | None
    model: str
    timings: Mapping[str, float]
    confidence: float
    taken_as: str | None = None
    left_out: int = 0
    dropped: int = 0
    evidence: tuple[Evidence, ...] = ()
    prompt_tokens: int = 0
    guarantee: Literal["grammar", "location"] = "grammar"


@dataclass(frozen=True, slots=True, repr=False)
class Waiting(_Short):
    """The language model is busy; `ahead` questions are answered before this one."""

    ahead: int


Event: TypeAlias = tuple[Passage, ...] | Waiting | str | Answer
"""What streaming yields: the passages, then text (after `Waiting` if need be), then the `Answer`."""


@dataclass(frozen=True, slots=True, repr=False)
class Failure(_Short):
    """A file that could not be indexed, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class BuildReport(_Short):
    """What a build did: the sources of each kind, in order, and how long it took.

    `passed_over` are the kinds of files that aren't read, such as `.csv`, each with its count.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    failed: tuple[Failure, ...]
    seconds: float
    passed_over: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class EmbedderIdentity(_Short):
    """What makes two embedders' vectors comparable: they are when all of this is equal."""

    name: str
    weights_sha256: str
    dimension: int
    normalised: bool
    chunking: str
    precision: str
