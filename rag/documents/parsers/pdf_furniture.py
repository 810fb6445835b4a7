"""Pages → what is furniture at the top and bottom of each: running headers and footers, and page numbers."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rag.documents.parsers.pdf_layout import Box, Line

_Level: TypeAlias = list[Line]
_Key: TypeAlias = tuple[bool, str]

_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]+")
_NUMBER = re.compile(
    r"\W*(?:(?:page|seite|p\.|s\.|página|pagina)\s*)?(?:\d{1,4}|[ivxlc]+)(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?\W*",
    re.IGNORECASE,
)
_MAX_LEVELS = 4
_MARGIN = 0.16  # of the height of a page
_SAME_PLACE = 3.0  # points
_MIN_PAGES = 3
_MIN_SHARE = 0.3
_APART = 1.7  # font sizes


@dataclass(slots=True)
class Page:
    """The lines of a page in PDFium's order, its box, its form fields, as label and value, and its notes."""

    number: int
    lines: list[Line]
    box: Box
    fields: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Edge:
    """The outermost lines at the top or bottom of a page, from outside; each level is what stands on one."""

    at_top: bool
    page: Page
    levels: list[_Level]

    def key(self, level: _Level) -> _Key:
        """What a level has in common with the same one of another page: all but numbers."""
        text = " ".join(line.text for line in level).lower()
        return self.at_top, "#" if _ROMAN.fullmatch(text) else _DIGITS.sub("#", text)

    def place(self, level: _Level) -> float:
        """How far it is from the edge of the page."""
        return self.page.box[3] - level[0].top if self.at_top else level[0].bottom - self.page.box[1]

    def is_apart(self, number: int) -> bool:
        """Whether there is more between this level and the next than between lines of a paragraph."""
        if number + 1 == len(self.levels):
            return True
        line, other = self.levels[number][0], self.levels[number + 1][0]
        return abs(line.base - other.base) > _APART * max(line.size, other.size)

    def is_near(self, level: _Level) -> bool:
        """Whether it stands in the margin of the page."""
        return self.place(level) < _MARGIN * (self.page.box[3] - self.page.box[1])

    def is_number(self, level: _Level) -> bool:
        """Whether it is a page number."""
        return _NUMBER.fullmatch(" ".join(line.text for line in level)) is not None


def parted(pages: Sequence[Page]) -> list[tuple[list[_Level], list[Line], list[_Level]]]:
    """Of each page the furniture at its top, its other lines, and the furniture at its bottom."""
    edges = [(_edge(page, at_top=True), _edge(page, at_top=False)) for page in pages]
    repeated = _Repeated([edge for both in edges for edge in both], len(pages))
    found = []
    for page, (top, bottom) in zip(pages, edges, strict=True):
        above, below = repeated.furniture(top), repeated.furniture(bottom)
        taken = {id(line) for level in above for line in level}
        below = [level for level in below if not any(id(line) in taken for line in level)][::-1]
        taken |= {id(line) for level in below for line in level}
        found.append((above, [line for line in page.lines if id(line) not in taken], below))
    if any(lines for _, lines, _ in found):
        return found
    return [([], page.lines, []) for page in pages]


class _Repeated:
    """What repeats at the edges of the pages, and where."""

    def __init__(self, edges: Sequence[_Edge], pages: int) -> None:
        places: dict[_Key, list[float]] = defaultdict(list)
        for edge in edges:
            for level in edge.levels:
                places[edge.key(level)].append(edge.place(level))
        needed = 2 if pages <= _MIN_PAGES else _MIN_PAGES
        most = max(_MIN_PAGES, _MIN_SHARE * pages)
        on_band: dict[tuple[bool, int], int] = defaultdict(int)
        self._usual: dict[_Key, float] = {}
        self._common: set[_Key] = set()
        for key, found in places.items():
            usual = sorted(found)[len(found) // 2]
            count = sum(abs(place - usual) <= _SAME_PLACE for place in found)
            if count >= needed:
                self._usual[key] = usual
                on_band[key[0], round(usual)] += count
            if count >= most:
                self._common.add(key)
        self._bands = {band for band, count in on_band.items() if count >= most}

    def furniture(self, edge: _Edge) -> list[_Level]:
        """The levels that are furniture, from outside; none where all of them repeat, as in a copy."""
        found: list[_Level] = []
        for number, level in enumerate(edge.levels):
            if not (self._is_furniture(edge, number) or (not number and edge.is_number(level))):
                break
            found.append(level)
        if len(found) > _MAX_LEVELS:
            return []
        return [level for level in found if edge.is_near(level)]

    def _is_furniture(self, edge: _Edge, number: int) -> bool:
        key, place = edge.key(edge.levels[number]), edge.place(edge.levels[number])
        usual = self._usual.get(key)
        if usual is not None and abs(place - usual) <= _SAME_PLACE:
            # A line of the text may stand at the end of several pages, but not apart from the text.
            return key in self._common or edge.is_apart(number)
        # What stands where other pages have furniture is too, such as the name of a chapter.
        return any(
            abs(place - usual) <= _SAME_PLACE for at_top, usual in self._bands if at_top == edge.at_top
        )


def _edge(page: Page, *, at_top: bool) -> _Edge:
    lines = [line for line in page.lines if not line.aside]
    lines.sort(key=lambda line: (-line.top if at_top else line.bottom, line.left))
    levels: list[_Level] = []
    for line in lines:
        if levels and _on_level(levels[-1][0], line):
            levels[-1].append(line)
        elif len(levels) > _MAX_LEVELS:
            break
        else:
            levels.append([line])
    for level in levels:
        level.sort(key=lambda line: (line.left, line.order))
    return _Edge(at_top, page, levels)


def _on_level(line: Line, other: Line) -> bool:
    return min(line.top, other.top) - max(line.bottom, other.bottom) > 0.5 * min(line.height, other.height)
