"""A document's blocks → chunks: spans that end where blocks or sentences end.

The chunks cover every character that isn't white space, and each equals its slice of the text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.text.blocks import BULLET, blocks_of_text
from rag.text.sentences import sentences_of
from rag.types import Block, Chunk

CountTokens = Callable[[Sequence[str]], list[int]]

MAX_CHARS = 800
MAX_TOKENS = 250
CHUNKING = f"blocks-{MAX_CHARS}-{MAX_TOKENS}-v1"
"""The version of these rules, part of an index's identity: change it when chunks change."""

# Best first: line, sentence of other scripts, clause, word, any character.
_SEPARATORS = [r"\r?\n", r"(?<=[。！？])", r"(?<=[;:,])[ \t]+", r"\s+", ""]

_CONTEXT_CHARS = 160


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence with the marks around it, or a block without one; `first` says that it begins its block."""

    start: int
    end: int
    block: Block
    first: bool
    sentences: tuple[tuple[int, int], ...]


def chunks(
    text: str,
    blocks: Sequence[Block] = (),
    *,
    title: str | None = None,
    count_tokens: CountTokens,
    max_tokens: int,
) -> tuple[Chunk, ...]:
    """The chunks of `text` in order; an empty tuple for white space.

    They end where sentences do; `blocks` are those of the text, inferred without them. Each
    has at most `MAX_CHARS` characters, and with its context, of which `title` is a part, at most `max_tokens`
    by `count_tokens`, which counts the embedder's tokens, special tokens included.
    """
    blocks = blocks or blocks_of_text(text)
    packed = [*_packed(_units(text, blocks), MAX_CHARS)]
    contexts = _contexts(text, packed, title)
    sizes = count_tokens(
        [_embedded(context, text, run) for context, run in zip(contexts, packed, strict=True)]
    )
    found: list[Chunk] = []
    for run, context, size in zip(packed, contexts, sizes, strict=True):
        if size <= max_tokens:
            found.append(_chunk(text, run, context))
        else:
            found.extend(_fitting(text, run, context, count_tokens, max_tokens))
    return tuple(found)


def _units(text: str, blocks: Sequence[Block]) -> Iterator[_Unit]:
    """The sentences of the blocks, each with what stands before it in its block."""
    for block in blocks:
        spans = sentences_of(text, block)
        if not spans:
            yield from (
                _Unit(start, end, block, start == block.start, ())
                for start, end in _split(text[block.start : block.end], block.start, MAX_CHARS)
            )
        start = block.start
        for number, span in enumerate(spans, 1):
            end = block.end if number == len(spans) else span[1]
            if end - start > MAX_CHARS:  # long marks around it
                start, end = span
            yield _Unit(start, end, block, number == 1, (span,))
            start = end + len(text[end : block.end]) - len(text[end : block.end].lstrip())


def _packed(units: Iterable[_Unit], max_chars: int) -> Iterator[list[_Unit]]:
    """Runs of units of at most `max_chars`; none ends with a heading or a question."""
    run: list[_Unit] = []
    for unit in units:
        while run and unit.end - run[0].start > max_chars:
            cut = len(run)
            while cut > 1 and run[cut - 1].block.kind in ("heading", "question"):
                cut -= 1
            yield run[:cut]
            run = run[cut:]
        run.append(unit)
    if run:
        yield run


def _contexts(text: str, packed: Sequence[Sequence[_Unit]], title: str | None) -> list[str]:
    """The context of each run: the title and the headings above it, then what leads to its first block."""
    path: list[Block] = []
    contexts = []
    for run in packed:
        start, first = run[0].start, run[0].block
        above = [text[heading.start : heading.end] for heading in _above(path, first)]
        # A question that is a heading is above its answers anyway; another has one answer, which follows it.
        header = () if first.kind == "answer" else first.header
        led = [text[a:b] for a, b in header if b <= start and a < b]
        contexts.append(_context(title, above, led))
        for unit in run:
            if unit.first and unit.block.kind in ("heading", "question") and unit.block.level:
                path = [*_above(path, unit.block), unit.block]
    return contexts


def _above(path: Sequence[Block], block: Block) -> list[Block]:
    """The headings of the path that the block stands under."""
    if block.kind in ("heading", "question") and block.level:
        return [heading for heading in path if heading.level < block.level]
    return [*path]


def _context(title: str | None, above: Sequence[str], led: Sequence[str]) -> str:
    headings = [" ".join(BULLET.sub("", heading, 1).split()) for heading in above]
    if title is not None and title not in headings:
        headings = [title, *headings]
    parts = [" › ".join(headings), " | ".join(" ".join(words.split()) for words in led)]
    return " — ".join(filter(None, parts))[-_CONTEXT_CHARS:].lstrip()


def embedded_text(chunk: Chunk) -> str:
    """What is embedded and searched by words: the context on a line of its own, then the text."""
    return f"{chunk.context}\n{chunk.text}" if chunk.context else chunk.text


def embedded_spans(chunk: Chunk) -> tuple[tuple[int, int], ...]:
    """The (start, end) in the embedded text of its context, if it has one, and of each of its sentences."""
    shift = len(embedded_text(chunk)) - len(chunk.text) - chunk.start
    own = tuple((start + shift, end + shift) for start, end in chunk.sentences)
    return ((0, len(chunk.context)), *own) if chunk.context else own


def _embedded(context: str, text: str, run: Sequence[_Unit]) -> str:
    return embedded_text(_chunk(text, run, context))


def _chunk(text: str, run: Sequence[_Unit], context: str) -> Chunk:
    start, end = run[0].start, run[-1].end
    sentences = tuple(span for unit in run for span in unit.sentences)
    return Chunk(start, end, text[start:end], sentences, context)


def _fitting(
    text: str, run: Sequence[_Unit], context: str, count_tokens: CountTokens, max_tokens: int
) -> Iterator[Chunk]:
    """The run in chunks that fit: without its context where that takes half of the room, else in halves."""
    if context and count_tokens([context])[0] > max_tokens // 2:
        context = ""
    chunk = _chunk(text, run, context)
    if count_tokens([embedded_text(chunk)])[0] <= max_tokens:
        yield chunk
    elif len(run) > 1:
        half = len(run) // 2
        yield from _fitting(text, run[:half], context, count_tokens, max_tokens)
        yield from _fitting(text, run[half:], context, count_tokens, max_tokens)
    else:
        for start, end in _halve(text, (chunk.start, chunk.end), context, count_tokens, max_tokens):
            yield Chunk(start, end, text[start:end], ((start, end),) if run[0].sentences else (), context)


def _split(text: str, offset: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """Spans of at most `max_chars` that cover the text, without the white space around them.

    The library's own start index is wrong where a text repeats itself, so pieces keep their white space,
    and offsets are sums of lengths.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=max_chars,
        chunk_overlap=0,
        strip_whitespace=False,
    )
    for piece in splitter.split_text(text):
        start = offset + len(piece) - len(piece.lstrip())
        end = offset + len(piece.rstrip())
        offset += len(piece)
        if start < end:
            yield start, end


def _halve(
    text: str, span: tuple[int, int], context: str, count_tokens: CountTokens, max_tokens: int
) -> Iterator[tuple[int, int]]:
    start, end = span
    for inner in _split(text[start:end], start, max((end - start) // 2, 1)):
        piece = embedded_text(Chunk(*inner, text[slice(*inner)], context=context))
        if inner[1] - inner[0] > 1 and count_tokens([piece])[0] > max_tokens:
            yield from _halve(text, inner, context, count_tokens, max_tokens)
        else:
            yield inner
