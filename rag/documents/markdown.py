"""Markdown → its title, date and blocks; its text stays: the only module that imports markdown_it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import title
from rag.text.blocks import led
from rag.text.dates import first_date
from rag.types import Block, BlockKind

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(title|date)[ \t]*:(.*)", re.MULTILINE)
_BAR = re.compile(r"\\.|`[^`\n]*`|\|")
"""A bar between cells, or what may hide one."""

_LINE = re.compile(r"[^\n]*\n?")
_MAX_NESTING = 50

_OPENING: dict[str, BlockKind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
    "hr": "furniture",
    "tr_open": "row",
}


def read_markdown(text: str) -> Extract:
    """The text with its blocks, and the title, or else first heading, and date of its front matter."""
    front = _FRONT_MATTER.match(text)
    fields = dict(_FIELD.findall(front[1])) if front else {}
    begin = front.end() if front else 0
    metadata = [Block("metadata", *line) for line in _lines_between(text, 0, begin)]
    body = [*_covering(text, begin, [*_blocks(text, begin)])]
    first = next((one for one in body if one.kind in ("heading", "question") and one.level == 1), None)
    heading = None if first is None else _words(text[first.start : first.end])
    return Extract(
        text,
        title=title(fields.get("title", "").strip().strip("\"'")) or title(heading),
        date=first_date(fields.get("date", "")),
        blocks=led(text, [*metadata, *body]),
    )


def _words(heading: str) -> str:
    """The heading without the marks before it, and those that close it: in "# C#" there is none that does."""
    if not re.match(r"#+(?:[ \t]|$)", heading):
        return heading
    words = heading.lstrip("#").strip()
    closed = words.rstrip("#")
    return closed if closed[-1:] in ("", " ", "\t") else words


def _blocks(text: str, begin: int) -> Iterator[Block]:
    """The blocks of the Markdown from `begin`, in order; what is between them isn't in any."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable("table")
    parser.disable("inline")
    # An offset for each line that the parser counts: it takes \r\n and \r for line ends too.
    body = text[begin:].replace("\r\n", "\n\0").replace("\r", "\n").replace("\n\0", "\r\n")
    starts = [begin, *(begin + match.end() for match in _LINE.finditer(body) if match.group())]
    kinds: list[str] = []
    level = 0
    header: tuple[tuple[int, int], ...] = ()
    taken = begin
    for token in parser.parse(body):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            level += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            level -= 1
        elif token.type in ("blockquote_open", "list_item_open"):
            kinds.append(token.type)
        elif token.type in ("blockquote_close", "list_item_close"):
            kinds.pop()
        elif token.type == "thead_open":
            header = ()
        elif token.map and (kind := _OPENING.get(token.type)):
            start, end = _trimmed(
                text, max(starts[token.map[0]], taken), starts[min(token.map[1], len(starts) - 1)]
            )
            if start >= end:
                continue
            taken = end
            if kind == "row":
                yield Block("row", start, end, 0, _headers(text, start, end, header) if header else ())
                header = header or _cells(text, start, end)
            else:
                yield _block(text, token, kind, kinds, start, end, level)


def _block(
    text: str, token: Any, kind: BlockKind, within: Sequence[str], start: int, end: int, level: int
) -> Block:
    if kind == "heading":
        if token.markup.startswith(("=", "-")):  # under the heading
            last = max(text.rfind("\n", start, end), text.rfind("\r", start, end))
            end = start + len(text[start:last].rstrip())
        return Block("heading", start, end, int(token.tag[1:]))
    if kind == "paragraph" and within and within[-1] == "list_item_open":
        return Block("item", start, end, level)
    if kind == "paragraph" and "blockquote_open" in within:
        return Block("quotation", start, end)
    return Block(kind, start, end)


def _cells(text: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The cells of a row without the bars and the blanks around them."""
    bars = [match.start() for match in _BAR.finditer(text, start, end) if match[0] == "|"]
    if bars and not text[start : bars[0]].strip("> \t"):  # as in a quotation
        start = bars.pop(0) + 1
    if bars and bars[-1] == end - 1:
        end = bars.pop()
    edges = zip([start, *(bar + 1 for bar in bars)], [*bars, end], strict=True)
    return tuple(_trimmed(text, *edge) for edge in edges)


def _headers(
    text: str, start: int, end: int, header: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """The header cell of each cell of a row; (0, 0) for one without."""
    count = len(_cells(text, start, end))
    return (*header[:count], *[(0, 0)] * (count - len(header)))


def _covering(text: str, begin: int, blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks, and what is between them: the lines under table headers, link definitions, and the like."""
    for block in blocks:
        yield from _between(text, begin, block.start)
        yield block
        begin = block.end
    yield from _between(text, begin, len(text))


def _between(text: str, start: int, end: int) -> Iterator[Block]:
    for first, last in _lines_between(text, start, end):
        words = any(character.isalnum() for character in text[first:last])
        yield Block("paragraph" if words else "furniture", first, last)


def _lines_between(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _LINE.finditer(text, start, end):
        first, last = _trimmed(text, *match.span())
        if first < last:
            yield first, last


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the white space around it."""
    words = text[start:end]
    return start + len(words) - len(words.lstrip()), start + len(words.rstrip())
