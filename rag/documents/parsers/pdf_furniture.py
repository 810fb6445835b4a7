"""Pages → what is furniture at the top and bottom of each: running headers and footers, and page numbers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
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

    def is_near(self, level: _Level) -> bool:
        """Whether it stands in the margin of the page."""
        return self.place(level) < _MARGIN * (self.page.box[3] - self.page.box[1])

    def is_number(self, level: _Level) -> bool:
        """Whether it is a page number."""
        return _NUMBER.fullmatch(" ".join(line.text for line in level)) is not None


def parted(pages: Sequence[Page]) -> list[tuple[list[_Level], list[Line], list[_Level]]]:
    """Of each page the furniture at its top, its other lines, and the furniture at its bottom."""
    edges = [(_edge(page, at_top=True), _edge(page, at_top=False)) for page in pages]
    places: dict[_Key, list[float]] = defaultdict(list)
    for edge in (edge for both in edges for edge in both):
        for level in edge.levels:
            places[edge.key(level)].append(edge.place(level))
    needed = 2 if len(pages) <= _MIN_PAGES else _MIN_PAGES
    repeated = {key: _usual(found) for key, found in places.items() if len(found) >= needed}
    repeated = {key: usual for key, usual in repeated.items() if _count(places[key], usual) >= needed}
    bands = _bands(edges, repeated, places, len(pages))
    found = []
    for page, (top, bottom) in zip(pages, edges, strict=True):
        above, below = _furniture(top, repeated, bands), _furniture(bottom, repeated, bands)
        taken = {id(line) for level in above for line in level}
        below = [level for level in below if not any(id(line) in taken for line in level)][::-1]
        taken |= {id(line) for level in below for line in level}
        found.append((above, [line for line in page.lines if id(line) not in taken], below))
    if any(lines for _, lines, _ in found):
        return found
    return [([], page.lines, []) for page in pages]


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


def _usual(places: Sequence[float]) -> float:
    return sorted(places)[len(places) // 2]


def _count(places: Iterable[float], usual: float) -> int:
    return sum(abs(place - usual) <= _SAME_PLACE for place in places)


def _bands(
    edges: Sequence[tuple[_Edge, _Edge]],
    repeated: dict[_Key, float],
    places: dict[_Key, list[float]],
    pages: int,
) -> dict[bool, list[float]]:
    """Where the furniture of most pages stands: what stands there on others, such as a chapter, is too."""
    counts: dict[tuple[bool, int], int] = defaultdict(int)
    for key, usual in repeated.items():
        counts[key[0], round(usual)] += _count(places[key], usual)
    least = max(_MIN_PAGES, _MIN_SHARE * pages)
    return {
        at_top: [usual for (top, usual), count in counts.items() if top == at_top and count >= least]
        for at_top in (True, False)
    }


def _furniture(edge: _Edge, repeated: dict[_Key, float], bands: dict[bool, list[float]]) -> list[_Level]:
    """The levels that are furniture, from outside; none where all that are looked at repeat, as in a copy."""
    found: list[_Level] = []
    for number, level in enumerate(edge.levels):
        usual, place = repeated.get(edge.key(level)), edge.place(level)
        repeats = usual is not None and abs(place - usual) <= _SAME_PLACE
        in_band = any(abs(place - band) <= _SAME_PLACE for band in bands[edge.at_top])
        if not (repeats or in_band or (not number and edge.is_number(level))):
            break
        found.append(level)
    else:
        return [] if len(edge.levels) > _MAX_LEVELS else _near(edge, found)
    return _near(edge, found)


def _near(edge: _Edge, levels: Sequence[_Level]) -> list[_Level]:
    """The levels that stand in the margin of the page."""
    return [level for level in levels if edge.is_near(level)]
