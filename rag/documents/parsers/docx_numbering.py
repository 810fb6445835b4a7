"""The lists and numbered headings of a Word document → the mark that each of their items has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MAX_LEVELS = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


def value_of(element: Any, path: str) -> str | None:
    """The value of the element at this path, such as "pPr/pStyle"; None if there is none."""
    found = element.find(_path(path))
    value: str | None = None if found is None else found.get(f"{WORD}val")
    return value


@cache
def _path(path: str) -> str:
    return "/".join(f"{WORD}{name}" for name in path.split("/"))


def integer(value: str | None, default: int, most: int) -> int:
    """The number that is stated, at most this one; the default for none."""
    return min(int(value[:9]), most) if value is not None and value[:9].isdecimal() else default


@dataclass(frozen=True, slots=True)
class Number:
    """The mark of an item, its level from 1, and whether it is the first of its list."""

    text: str
    level: int
    is_first: bool


class Numbering:
    """The lists of a document, which counts their items as they come."""

    def __init__(self, roots: Iterable[Any], styles: Mapping[str, str | None]) -> None:
        """Take what the numbering part defines; `styles` are the lists of paragraph styles."""
        self._abstract: dict[str | None, dict[int, Any]] = {}
        self._of: dict[str | None, str | None] = {}
        self._starts: dict[tuple[str | None, int], int] = {}
        linked: dict[str | None, str] = {}
        self._counts: dict[str | None, list[int]] = {}
        for root in roots:
            for abstract in root.iterchildren(f"{WORD}abstractNum"):
                name = abstract.get(f"{WORD}abstractNumId")
                self._abstract[name] = {
                    integer(level.get(f"{WORD}ilvl"), 0, MAX_LEVELS - 1): level
                    for level in abstract.iterchildren(f"{WORD}lvl")
                }
                if link := value_of(abstract, "numStyleLink"):
                    linked[name] = link
            for number in root.iterchildren(f"{WORD}num"):
                name = number.get(f"{WORD}numId")
                self._of[name] = value_of(number, "abstractNumId")
                for override in number.iterchildren(f"{WORD}lvlOverride"):
                    if start := value_of(override, "startOverride"):
                        depth = integer(override.get(f"{WORD}ilvl"), 0, MAX_LEVELS - 1)
                        self._starts[name, depth] = integer(start, 1, 10**6)
        for name, link in linked.items():
            source = self._of.get(styles.get(link))
            self._abstract[name] = self._abstract[name] or self._abstract.get(source, {})

    def next(self, number: str | None, depth: str | None) -> Number | None:
        """The mark of the next item of this list; None if it isn't a list.

        `depth` is a level from "0", or the style to which a level of the list belongs.
        """
        abstract = self._of.get(number)
        if number is None or abstract not in self._abstract:
            return None
        levels = self._abstract[abstract]
        level = self._level(levels, depth)
        counts = self._counts.setdefault(abstract, [])
        if (number, level) in self._starts:
            del counts[level:]
            counts += [self._start(levels, above) for above in range(len(counts), level)]
            counts.append(self._starts.pop((number, level)))
            is_first = True
        else:
            is_first = len(counts) <= level
            counts += [self._start(levels, above) for above in range(len(counts), level)]
            if is_first:
                counts.append(self._start(levels, level))
            else:
                counts[level] += 1
                del counts[level + 1 :]
        kind, text = self._format(levels, level)
        is_bullet = kind in {"bullet", "none"}
        mark = "-" if kind == "bullet" else self._filled(text, levels, counts) if not is_bullet else text
        return Number(mark, level + 1, is_bullet or is_first)

    @staticmethod
    def _level(levels: Mapping[int, Any], depth: str | None) -> int:
        if depth is None or depth.isdecimal():
            return integer(depth, 0, MAX_LEVELS - 1)
        return next((level for level, element in levels.items() if value_of(element, "pStyle") == depth), 0)

    @staticmethod
    def _start(levels: Mapping[int, Any], level: int) -> int:
        return integer(value_of(levels[level], "start"), 1, 10**6) if level in levels else 1

    @staticmethod
    def _format(levels: Mapping[int, Any], level: int) -> tuple[str, str]:
        if level not in levels:
            return "bullet", ""
        return value_of(levels[level], "numFmt") or "decimal", value_of(levels[level], "lvlText") or ""

    def _filled(self, text: str, levels: Mapping[int, Any], counts: list[int]) -> str:
        """The text of a mark, such as "%1.%2", with the counts in it."""
        for level, count in enumerate(counts):
            text = text.replace(f"%{level + 1}", _counted(count, self._format(levels, level)[0]))
        return text.strip()


def _counted(count: int, kind: str) -> str:
    if kind in {"lowerLetter", "upperLetter"} and 0 < count <= 26 * 9:
        text = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
    elif kind in {"lowerRoman", "upperRoman"} and 0 < count < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (count // value)
            count %= value
    else:
        return f"{count:02}" if kind == "decimalZero" else str(count)
    return text.upper() if kind.startswith("upper") else text
