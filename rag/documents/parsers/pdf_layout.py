"""The lines of a page, with their places → columns, tables and paragraphs in reading order.

PDFium's own order is right more often than not, so it stays where the places don't speak for another. Each
step looks at a bounded number of lines around a line, so that boxes which lie cost no more than others.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top; upwards is more."""

_BULLET = "•‣⁃∙◦●○■□▪▫◆◇►▶➢➤✓✔–—*·\uf0b7\uf0a7\uf0d8-"
_MARKER = re.compile(
    rf"[{re.escape(_BULLET)}o]|\(?(?:\d{{1,3}}|[a-zA-Z]|[ivx]{{1,4}})[.)]|\d{{1,2}}(?:\.\d{{1,2}})+\.?"
)
_ITEM = re.compile(rf"[{re.escape(_BULLET)}]\s+\S|\(?(?:\d{{1,3}}|[a-z]|[ivx]{{1,4}})[.)]\s+\S")
_BULLETED = re.compile(rf"[{re.escape(_BULLET)}]\s+\S")
_LEADER = re.compile(r"(?:\.\s?){5,}\s*[\divxlcA-Z-]{0,8}\s*$")
ENDED = re.compile(r"[.!?:;。！？؟…][\"'”’»)\]]*\s*$")

_NEAR = 24  # lines that are compared with a line
_MAX_COLUMNS = 40
_MAX_DEPTH = 4
_GUTTER = 0.8  # in heights of a line
_MIN_COLUMN_CHARS = 15
_FULL = 0.6
_ONE_COLUMN = 0.7  # of the characters
_MAX_CELL_CHARS = 60
_FILLED = 0.8  # of the rows have more than one cell
_ALIGNED = 2.5  # points
_SAME_SIZE = 0.08
_SLACK = 1.22  # of the distance between lines of a paragraph
_MAX_PITCH = 1.5
_MAX_BLANKS = 60


@dataclass(slots=True)
class Line:
    """Words beside each other, with their box, the width of the first, the size of the font and the base.

    `order` counts the page's lines as PDFium has them; `follows` says that it has this one on the same line
    as the one before. What is `aside` is turned another way than the page.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    first: float
    size: float
    base: float
    bold: bool = False
    fixed: bool = False
    page: int = 0
    order: int = 0
    follows: bool = False
    aside: bool = False

    @property
    def height(self) -> float:
        """The height of the box."""
        return self.top - self.bottom


@dataclass(slots=True)
class Flow:
    """Lines of one column from top to bottom; of a `loose` one some stand for themselves."""

    lines: list[Line]
    loose: bool = False


@dataclass(slots=True)
class Table:
    """Rows of cells, each the lines in it; all rows have the same columns."""

    rows: list[list[list[Line]]]


def is_marker(text: str) -> bool:
    """Whether the text is the bullet or number of a list item or heading, and nothing else."""
    return _MARKER.fullmatch(text) is not None


def is_item(text: str, *, bullet: bool = False) -> bool:
    """Whether the text begins as a list item does, and if asked with a bullet, not a number."""
    return (_BULLETED if bullet else _ITEM).match(text) is not None


def bounds(lines: Sequence[Line]) -> Box:
    """The box around all lines; of none, an empty one."""
    if not lines:
        return (0.0, 0.0, 0.0, 0.0)
    return (
        min(line.left for line in lines),
        min(line.bottom for line in lines),
        max(line.right for line in lines),
        max(line.top for line in lines),
    )


def is_leader(text: str) -> bool:
    """Whether the text is a line of a table of contents, with dots up to the number of the page."""
    return _LEADER.search(text) is not None


def flows(lines: Sequence[Line], depth: int = 0) -> list[Flow | Table]:
    """The lines of a page in reading order: columns one after another, tables row by row."""
    found: list[Flow | Table] = []
    for region, columns in _regions(lines):
        parts = _split(region, columns)
        if len(parts) == 1 or depth == _MAX_DEPTH or all(line.fixed for line in region):
            found.append(Flow(_rows_joined(region)))
        elif sum(map(_reads_on, parts)) > 1:
            for part in parts:
                found += flows(part, depth + 1)
        else:
            table = _table(parts)
            if table is None and _is_column(parts):
                found.append(Flow(_rows_joined(region)))
            else:
                found.append(table or Flow(_as_pdfium(region), loose=True))
    return _merged(found)


def _merged(found: Iterable[Flow | Table]) -> list[Flow | Table]:
    """Flows that follow on another in one column are one."""
    merged: list[Flow | Table] = []
    for flow in found:
        last = merged[-1] if merged else None
        if (
            isinstance(flow, Flow)
            and isinstance(last, Flow)
            and not (flow.loose or last.loose)
            and (_below(last.lines[-1], flow.lines[0]))
        ):
            last.lines += flow.lines
        else:
            merged.append(flow)
    return merged


def _below(line: Line, other: Line) -> bool:
    return other.top <= line.top and other.left < line.right and line.left < other.right


def _regions(lines: Sequence[Line]) -> list[tuple[list[Line], list[tuple[float, float]]]]:
    """The lines from top to bottom, cut where columns begin and where they end, with the columns' sides."""
    ordered = sorted(lines, key=lambda line: (-line.top, line.left, line.order))
    found, start = [], 0
    columns: list[tuple[float, float]] = []
    for index, line in enumerate(ordered):
        touched = _touched(columns, line)
        beside = _beside(ordered, start, index) if len(columns) == 1 and len(touched) == 1 else None
        cut = beside
        if cut is None and (len(touched) > 1 or len(columns) == _MAX_COLUMNS):
            cut = _first_on_level(ordered, start, index)
        if cut is not None:
            if cut > start:
                found.append((ordered[start:cut], columns))
            start, columns = cut, []
            for again in ordered[cut:index]:
                columns = _with(columns, again)
        columns = _with(columns, line)
    return [*found, (ordered[start:], columns)] if ordered else []


def _first_on_level(ordered: Sequence[Line], start: int, index: int) -> int:
    """The first of the lines right before this one that stand on a level with it; itself without one."""
    cut = index
    while cut > max(start + 1, index - _NEAR) and _level(ordered[cut - 1], ordered[index]):
        cut -= 1
    return cut


def _touched(columns: Sequence[tuple[float, float]], line: Line) -> list[tuple[float, float]]:
    gutter = _GUTTER * line.height
    return [side for side in columns if line.left < side[1] + gutter and side[0] < line.right + gutter]


def _with(columns: list[tuple[float, float]], line: Line) -> list[tuple[float, float]]:
    """The columns' sides with this line in them."""
    touched = _touched(columns, line)
    left = min([line.left, *(side[0] for side in touched)])
    right = max([line.right, *(side[1] for side in touched)])
    return sorted([*(side for side in columns if side not in touched), (left, right)])


def _beside(ordered: Sequence[Line], start: int, index: int) -> int | None:
    """The first line that stands on a level with this one, a gutter away; None without one."""
    line = ordered[index]
    for at in range(max(start, index - _NEAR), index):
        other = ordered[at]
        apart = max(line.left - other.right, other.left - line.right)
        if apart >= _GUTTER * min(line.height, other.height) and _level(line, other):
            return at
    return None


def _level(line: Line, other: Line) -> bool:
    """Whether half of the lower one of the two stands beside the other."""
    return min(line.top, other.top) - max(line.bottom, other.bottom) > 0.5 * min(line.height, other.height)


def _split(lines: Sequence[Line], columns: Sequence[tuple[float, float]]) -> list[list[Line]]:
    """The lines of each column."""
    parts: list[list[Line]] = [[] for _ in columns]
    for line in lines:
        at = next((at for at, side in enumerate(columns) if line.left <= side[1]), -1)
        parts[at].append(line)
    return [part for part in parts if part]


def _reads_on(lines: Sequence[Line]) -> bool:
    """Whether the lines of a column are those of running text: long, and most of them as wide as it."""
    left, _, right, _ = bounds(lines)
    full = sum(line.right - line.left > _FULL * (right - left) for line in lines)
    chars = sum(len(line.text) for line in lines)
    return len(lines) > 1 and chars >= _MIN_COLUMN_CHARS * len(lines) and 2 * full >= len(lines)


def _is_column(parts: Sequence[Sequence[Line]]) -> bool:
    """Whether most is one column of text, beside which little stands."""
    chars = [sum(len(line.text) for line in part) for part in parts]
    most = max(range(len(parts)), key=chars.__getitem__)
    return chars[most] >= max(_ONE_COLUMN * sum(chars), _MIN_COLUMN_CHARS * len(parts[most]))


def _as_pdfium(lines: Sequence[Line]) -> list[Line]:
    """The lines in PDFium's order, joined where it has them on one."""
    joined: list[Line] = []
    for line in sorted(lines, key=lambda line: line.order):
        if joined and line.follows and _level(joined[-1], line):
            _append(joined[-1], line)
        else:
            joined.append(line)
    return joined


def _rows_joined(lines: Sequence[Line]) -> list[Line]:
    """The lines from top to bottom, those on one level joined."""
    joined: list[Line] = []
    row: list[Line] = []
    for line in lines:
        if row and not _level(row[0], line):
            joined.append(_one(row))
            row = []
        row.append(line)
    return [*joined, _one(row)] if row else joined


def _one(row: list[Line]) -> Line:
    """The lines of a row as one: as PDFium has them on one line, which knows Arabic, else by place."""
    row.sort(key=lambda line: line.order)
    if not all(line.follows for line in row[1:]):
        row.sort(key=lambda line: (line.left, line.order))
    for line in row[1:]:
        _append(row[0], line)
    return row[0]


def _append(line: Line, other: Line) -> None:
    if len(other.text) > len(line.text):
        line.bottom, line.top, line.size, line.base = other.bottom, other.top, other.size, other.base
    line.text = f"{line.text}{_blanks(line, other)}{other.text}"
    line.left, line.right = min(line.left, other.left), max(line.right, other.right)
    line.bold, line.fixed = line.bold and other.bold, line.fixed and other.fixed


def _blanks(line: Line, other: Line) -> str:
    """What is between two texts on a line: one blank, in code as many as have room."""
    width = (line.right - line.left) / len(line.text)
    if not (line.fixed and other.fixed and width > 0):
        return " "
    return " " * min(max(round((other.left - line.right) / width), 1), _MAX_BLANKS)


def _table(parts: Sequence[Sequence[Line]]) -> Table | None:
    """The table whose columns these are; None if they may be something else."""
    rows: list[list[list[Line]]] = []
    last: Line | None = None
    cells = sorted(
        ((line, column) for column, part in enumerate(parts) for line in part), key=lambda cell: -cell[0].top
    )
    for line, column in cells:
        if last is None or not _level(last, line):
            rows.append([[] for _ in parts])
            last = line
        rows[-1][column].append(line)
    whole: list[list[list[Line]]] = []
    for row in rows:
        if len(whole) > 1 and not row[0] and _close(whole[-1], row):
            for cell, more in zip(whole[-1], row, strict=True):
                cell += more
        else:
            whole.append(row)
    filled = sum(sum(map(bool, row)) > 1 for row in whole)
    chars = sum(len(line.text) for line, _ in cells)
    if filled < 3 or filled < _FILLED * len(whole) or chars > _MAX_CELL_CHARS * len(whole) * len(parts):
        return None
    return Table(whole) if all(map(_aligned, parts)) else None


def _close(row: Sequence[Sequence[Line]], other: Sequence[Sequence[Line]]) -> bool:
    """Whether the second row goes on with cells of the first: no farther from it than lines of text are."""
    above = [cell[-1] for cell, more in zip(row, other, strict=True) if cell and more]
    below = [cell[0] for cell in other if cell]
    return len(above) == len(below) and all(
        a.base - b.base < _MAX_PITCH * b.size for a, b in zip(above, below, strict=True)
    )


def _aligned(lines: Sequence[Line]) -> bool:
    """Whether most lines of the column have their left or right sides, or their middles, in one place."""
    if len(lines) < 3:
        return True
    for places in (
        [line.left for line in lines],
        [line.right for line in lines],
        [(line.left + line.right) / 2 for line in lines],
    ):
        middle = median(places)
        if sum(abs(place - middle) <= _ALIGNED for place in places) >= 0.6 * len(places):
            return True
    return False


def paragraphs(flow: Flow) -> list[list[Line]]:
    """The lines of each paragraph, list item or heading."""
    lines = flow.lines
    pitch = _pitch(lines)
    found: list[list[Line]] = []
    right = 0.0
    for index, line in enumerate(lines):
        if index == 0 or _apart(lines[index - 1], line, pitch):
            right = _right(lines, index, pitch)
            found.append([line])
        elif (flow.loose and abs(lines[index - 1].left - line.left) > line.size) or _begins(
            found[-1], line, lines[index + 1 : index + 2], right
        ):
            found.append([line])
        else:
            found[-1].append(line)
    return found


def _pitch(lines: Sequence[Line]) -> float:
    """How far lines of one paragraph stand from each other, in heights."""
    pitches = [
        (above.base - line.base) / line.size
        for above, line in pairwise(lines)
        if _alike(above, line) and 0.6 * line.size < above.base - line.base < 2.5 * line.size
    ]
    return median(pitches) if pitches else 1.35


def _alike(line: Line, other: Line) -> bool:
    return abs(line.size - other.size) <= _SAME_SIZE * max(line.size, other.size)


def _apart(above: Line, line: Line, pitch: float) -> bool:
    """Whether the size or the distance parts the lines."""
    distance = (above.base - line.base) / line.size if line.size else 0.0
    return not _alike(above, line) or not 0 < distance <= pitch * _SLACK


def _right(lines: Sequence[Line], start: int, pitch: float) -> float:
    """How far lines reach that nothing parts from this one."""
    right = lines[start].right
    for above, line in zip(lines[start : start + 200], lines[start + 1 : start + 200], strict=False):
        if _apart(above, line, pitch):
            break
        right = max(right, line.right)
    return right


def _begins(paragraph: Sequence[Line], line: Line, after: Sequence[Line], right: float) -> bool:
    """Whether a line that nothing parts from the paragraph above begins another."""
    above, em = paragraph[-1], line.size
    ended = ENDED.search(above.text) is not None
    full = is_full(above, line, right)
    if above.text.endswith("-") and line.text[0].islower():
        return False
    if is_leader(above.text) or is_item(line.text, bullet=True):
        return True
    if is_item(line.text) and (ended or not full or is_item(paragraph[0].text)):
        return True
    if (above.bold, above.fixed) != (line.bold, line.fixed) and not (full and not ended):
        return True
    if above.fixed and line.fixed:
        return False
    if not full:
        return ended or not (line.text[0].islower() or line.text[0].isdigit())
    if line.left < above.left - 0.8 * em:
        centred = abs(line.left + line.right - above.left - above.right) < em
        return len(paragraph) > 1 and not centred
    indented = line.left > above.left + 0.8 * em and not is_item(above.text)
    return indented and ended and len(paragraph) > 1 and (not after or after[0].left < line.left - 0.5 * em)


def is_full(line: Line, after: Line, right: float) -> bool:
    """Whether the first word of the line after would not fit at the end of the line, so that it goes on."""
    return line.right + after.first + 0.2 * line.size > right
