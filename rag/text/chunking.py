"""A document's text → chunks: spans that end where paragraphs, lines and sentences end.

The chunks cover every character that isn't white space, and each equals its slice of the text.
"""

from collections.abc import Callable, Iterator, Sequence

from rag.types import Chunk

CountTokens = Callable[[Sequence[str]], list[int]]

MAX_CHARS = 800
MAX_TOKENS = 250
CHUNKING = f"recursive-{MAX_CHARS}-{MAX_TOKENS}-v2"
"""The version of these rules, part of an index's identity: change it when chunks change."""

# An initial or a common abbreviation ("J. ", "Mr. ") doesn't end a sentence.
_SENTENCE_END = (
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))"
    r"(?<!\b[A-Z]\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bNo\.)(?<!\bvs\.)(?<!\bMrs\.)"
    r"(?<!\bProf\.)(?<!\bGen\.)(?<!\bSen\.)(?<!\bGov\.)(?<!\bLt\.)(?<!\bFig\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
    r"[ \t]+|(?<=[。！？])"
)
# Best first: paragraph, line, sentence, clause, word, any character.
_SEPARATORS = [r"\r?\n[ \t]*\r?\n\s*", r"\r?\n", _SENTENCE_END, r"(?<=[;:,])[ \t]+", r"\s+", ""]


def chunks(text: str, *, count_tokens: CountTokens, max_tokens: int) -> tuple[Chunk, ...]:
    """The chunks of `text` in order; an empty tuple for white space.

    Each has at most `MAX_CHARS` characters, and at most `max_tokens` by `count_tokens`, which counts the
    embedder's tokens, special tokens included.
    """
    spans = list(_split(text, 0, MAX_CHARS))
    sizes = count_tokens([text[start:end] for start, end in spans])
    fitting: list[tuple[int, int]] = []
    for span, size in zip(spans, sizes, strict=True):
        fitting.extend([span] if size <= max_tokens else _halve(text, span, count_tokens, max_tokens))
    return tuple(Chunk(start, end, text[start:end]) for start, end in fitting)


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
    text: str, span: tuple[int, int], count_tokens: CountTokens, max_tokens: int
) -> Iterator[tuple[int, int]]:
    start, end = span
    for inner in _split(text[start:end], start, max((end - start) // 2, 1)):
        length = inner[1] - inner[0]
        if length > 1 and count_tokens([text[inner[0] : inner[1]]])[0] > max_tokens:
            yield from _halve(text, inner, count_tokens, max_tokens)
        else:
            yield inner
