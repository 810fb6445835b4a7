"""The characters of a page of a PDF → its lines, with their places.

PDFium is asked for two characters of each word, and of those only for what they need: a document of 100 pages
has 50,000 words, and each call takes a microsecond.
"""

import ctypes
import math
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from rag.documents.parsers.pdf_layout import Box, Line, bounds, is_marker
from rag.documents.parsers.plain import clean

_Font: TypeAlias = tuple[bool, bool]  # bold, of fixed width

# PDFium joins a word that is hyphenated at the end of a line, and writes one of these for the hyphen.
_HYPHENS = "\x02\ufffe"
_WORD = re.compile(rf"[^\s{_HYPHENS}]*[{_HYPHENS}]|[^\s{_HYPHENS}]+")
# TeX has its ligatures at the codes of control characters; where a font doesn't say so they come through.
_TEX_LIGATURE = re.compile(
    "(?<=[^\\W\\d_])[\x0b\x0c\x0e\x0f\u21b5]|[\x0b\x0c\x0e\x0f](?=[^\\W\\d_])|\r(?=[^\\W\\d_])"
)
_UNKNOWN = re.compile(f"[{_HYPHENS}]")
_TEX_LIGATURES = str.maketrans("\x0b\x0c\r\x0e\x0f\u21b5", "ﬀﬁﬂﬃﬄﬀ")
_LIGATURES = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\x02": "-",
        "\ufffe": "-",
    }
)
# The Arabic ligature of lam and alef comes out of PDFium the wrong way round.
_ALEF_LAM = re.compile("[\u0622\u0623\u0625\u0627]\u0644")
# What a word may have that is not to be read as it stands.
_SPECIAL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufb00-\ufb06\ud800-\udfff\ufffe\uffff]|[\u0622\u0623\u0625\u0627]\u0644"
)

_BOLD = re.compile(rb"bold|black|heavy|demi|cmb|sfbx|medi\b", re.IGNORECASE)
_FIXED = re.compile(rb"courier|mono|consol|(?:cm|sf).*tt\d|typewriter|fixed|nimbusmon", re.IGNORECASE)
_FIXED_PITCH = 1  # of the flags of a font, in the PDF standard

_HEIGHT = 1.15  # of a line, in font sizes
# In heights of a line.
_CELL_GAP = 1.0  # more than justified text is stretched
_MARKER_GAP = 3.5
_NUMBER_GAP = 2.0  # after that of a heading
_LETTER_GAP = 0.12
_BACK = 0.5
_RAISED = 0.3  # how much of a footnote mark overlaps with its line
_SAME_HEIGHT = 0.08

_MAX_LYING = 0.2


def read_lines(raw: Any, textpage: Any, visible: Box, number: int) -> tuple[list[Line], Box]:
    """The visible lines of the page in PDFium's order, and the box of the page as it is for their reader.

    `raw` is the module of PDFium's functions. A page whose characters have boxes that can't be right has its
    lines one below the other.
    """
    reader = _Reader(raw, textpage.raw, _text(raw, textpage), visible)
    lines = reader.lines(number)
    if not reader.lies(lines):
        return lines, _turned(visible, reader.quarter)
    lines = _without_places(textpage.get_text_bounded(), number)
    return lines, bounds(lines)


def _text(raw: Any, textpage: Any) -> str:
    """The text of the page, a character for each of PDFium's."""
    text: str = textpage.get_text_range()
    count = textpage.count_chars()
    if len(text) != count:  # it leaves some out, or has two for one
        codes = (raw.FPDFText_GetUnicode(textpage.raw, index) for index in range(count))
        text = "".join(chr(code) if 0 < code <= 0x10FFFF else " " for code in codes)
    characters = list(text)
    for found in _UNKNOWN.finditer(text):
        at = found.start()
        if not raw.FPDFText_IsHyphen(textpage.raw, at):
            # Of all the glyphs without a name this one is in the middle of words.
            inside = 0 < at < len(text) - 1 and text[at - 1].islower() and text[at + 1].islower()
            characters[at] = "ﬃ" if inside else "\0"
    text = "".join(characters)
    return _TEX_LIGATURE.sub(lambda found: found[0].translate(_TEX_LIGATURES), text)


def _without_places(text: str, number: int) -> list[Line]:
    """The lines of a page whose boxes say nothing, as PDFium has them, each under the one before."""
    lines = []
    for order, line in enumerate(clean(text.replace("\ufffe", "-\n").replace("\x02", "-\n")).split("\n")):
        words = line.split()
        if words:
            box = (0.0, -1.2 * order, 0.5 * len(line), 1 - 1.2 * order)
            lines.append(
                Line(
                    " ".join(words).translate(_LIGATURES),
                    *box,
                    0.5 * len(words[0]),
                    1.0,
                    box[1],
                    page=number,
                    order=order,
                )
            )
    return lines


def _turned(box: Box, quarter: int) -> Box:
    """The box as it is for a reader of text that is turned by that many quarters, anticlockwise."""
    left, bottom, right, top = box
    return (
        (left, bottom, right, top),
        (bottom, -right, top, -left),
        (-right, -top, -left, -bottom),
        (-top, left, -bottom, right),
    )[quarter]


class _Reader:
    """Reads the lines of one page; `quarter` is how many quarters most of its text is turned."""

    def __init__(self, raw: Any, textpage: Any, text: str, visible: Box) -> None:
        self.quarter = 0
        self._raw, self._textpage, self._text, self._visible = raw, textpage, text, visible
        self._loose, self._matrix = raw.FS_RECTF(), raw.FS_MATRIX()
        self._sides = [ctypes.c_double() for _ in range(4)]
        self._fonts: dict[bytes, _Font] = {}
        self._is_plain = _SPECIAL.search(text) is None
        self._words_read = self._words_lying = 0

    def lines(self, number: int) -> list[Line]:
        """The lines; those that are turned in another way than most are `aside`."""
        runs: list[_Run] = []
        run: _Run | None = None
        for start, end, quarter, broken, box in self._words():
            left, bottom, right, top = box
            self._words_lying += not (left < right and bottom < top)
            word = self._text[start:end] if self._is_plain else self._word(start, end)
            if not word or not self._is_visible(box, quarter):
                continue
            if (
                run
                and not broken
                and -run.near < bottom - run.bottom < run.near
                and -run.near < top - run.top < run.near
                and 0 < left - run.right < run.gap
            ):
                run.words.append(word)
                run.right, run.last = right, start
                run.votes += len(word)
            elif run and quarter == run.quarter and run.takes(word, box, broken):
                run.add(word, start, box, broken)
            else:
                run = _Run(word, start, quarter, box, broken)
                runs.append(run)
        counts = [sum(run.votes for run in runs if run.quarter == quarter) for quarter in range(4)]
        self.quarter = counts.index(max(counts))
        return [self._line(run, number, order) for order, run in enumerate(runs)]

    def lies(self, lines: list[Line]) -> bool:
        """Whether the boxes can't be right: many are empty, or many lines have one place."""
        places = {(round(line.left), round(line.bottom)) for line in lines}
        one_place = len(lines) > 9 and 2 * len(places) < len(lines)
        return one_place or self._words_lying > _MAX_LYING * self._words_read

    def _line(self, run: "_Run", number: int, order: int) -> Line:
        first, last = self._font(run.start), self._font(run.last)
        size, base = self._type(run)
        return Line(
            " ".join(run.words),
            run.left,
            run.bottom,
            run.right,
            run.top,
            run.first,
            size,
            base,
            bold=first[0] and last[0],
            fixed=first[1] and last[1],
            page=number,
            order=order,
            follows=not run.broken,
            aside=run.quarter != self.quarter,
        )

    def _type(self, run: "_Run") -> tuple[float, float]:
        """The size of the font in points, and the height of the line that its letters stand on."""
        self._raw.FPDFText_GetMatrix(self._textpage, run.sized, self._matrix)
        size = self._raw.FPDFText_GetFontSize(self._textpage, run.sized)
        size *= math.hypot(self._matrix.c, self._matrix.d)
        across, up = self._sides[:2]
        self._raw.FPDFText_GetCharOrigin(self._textpage, run.sized, across, up)
        base = _turned((across.value, up.value, across.value, up.value), run.quarter)[1]
        height = run.top - run.bottom
        if not height / 3 < size < height * 3:
            size = height / _HEIGHT
        if not run.bottom - height <= base <= run.top:
            base = run.bottom + (height - size)
        return size, base

    def _words(self) -> Iterator[tuple[int, int, int, bool, Box]]:
        """The words: start, end, quarters they are turned, whether PDFium has a new line, and the box."""
        before, quarter, text = 0, 0, self._text
        for found in _WORD.finditer(text):
            start, end = found.span()
            broken = start - before != 1 or text[before] != " "
            broken = broken and (before == 0 or text[before - 1] in _HYPHENS or "\n" in text[before:start])
            if broken:
                angle = self._raw.FPDFText_GetCharAngle(self._textpage, start)
                # PDFium counts clockwise; less than 0 is an error.
                quarter = round(-angle / (math.pi / 2)) % 4 if math.isfinite(angle) and angle >= 0 else 0
            before = end
            self._words_read += 1
            first = last = self._box(start, quarter)
            if end - start > 1:
                last = self._box(end - 1, quarter)
            if last[3] < first[1] and "-" in found[0]:
                # A word that has its own hyphen at the end of a line.
                cut = self._cut(start, end, first, quarter)
                yield start, cut, quarter, broken, _around(first, self._box(cut - 1, quarter))
                start, first, broken = cut, self._box(cut, quarter), True
            yield start, end, quarter, broken, _around(first, last)

    def _cut(self, start: int, end: int, first: Box, quarter: int) -> int:
        """Where the part of the word ends that stands on the line of its first character."""
        for hyphen in re.finditer("-", self._text[start : end - 1]):
            cut = start + hyphen.end()
            if self._box(cut, quarter)[3] < first[1]:
                return cut
        return start + 1

    def _word(self, start: int, end: int) -> str:
        word = self._text[start:end]
        if _ALEF_LAM.search(word):
            word = _ALEF_LAM.sub(
                lambda found: found[0][::-1] if self._is_one(start + found.start()) else found[0], word
            )
        return clean(word.translate(_LIGATURES)).replace("\n", "")

    def _is_one(self, index: int) -> bool:
        """Whether this character and the next are of one glyph."""
        return self._tight(index) == self._tight(index + 1)

    def _box(self, index: int, quarter: int) -> Box:
        """The box of a character for its reader, as high as the line, or as itself where it is turned."""
        return _turned(self._tight(index), quarter) if quarter else self._high(index)

    def _high(self, index: int) -> Box:
        box = self._loose
        if not self._raw.FPDFText_GetLooseCharBox(self._textpage, index, box):
            return (0.0, 0.0, 0.0, 0.0)
        left, bottom, right, top = box.left, box.bottom, box.right, box.top
        if left <= right and bottom <= top:
            return (left, bottom, right, top)
        return (min(left, right), min(bottom, top), max(left, right), max(bottom, top))

    def _tight(self, index: int) -> Box:
        left, right, bottom, top = self._sides
        self._raw.FPDFText_GetCharBox(self._textpage, index, left, right, bottom, top)
        return (left.value, bottom.value, right.value, top.value)

    def _is_visible(self, box: Box, quarter: int) -> bool:
        if quarter:
            box = _turned(box, 4 - quarter)
        left, bottom, right, top = self._visible
        return left < box[2] and box[0] < right and bottom < (box[1] + box[3]) / 2 < top

    def _font(self, index: int) -> _Font:
        flags = ctypes.c_int()
        name = ctypes.create_string_buffer(128)
        self._raw.FPDFText_GetFontInfo(self._textpage, index, name, 128, flags)
        if name.value not in self._fonts:
            fixed = bool(flags.value & _FIXED_PITCH) or _FIXED.search(name.value) is not None
            self._fonts[name.value] = (_BOLD.search(name.value) is not None, fixed)
        return self._fonts[name.value]


def _around(first: Box, last: Box) -> Box:
    if first[0] <= last[0] and first[1] == last[1] and first[3] == last[3]:
        return (first[0], first[1], last[2], first[3])
    return (
        min(first[0], last[0]),
        min(first[1], last[1]),
        max(first[2], last[2]),
        max(first[3], last[3]),
    )


class _Run:
    """A line while words are added to it; `votes` is by how many characters its height is that of most.

    `sized` is a character that has this height.
    """

    __slots__ = (
        "bottom",
        "broken",
        "first",
        "gap",
        "last",
        "left",
        "near",
        "quarter",
        "right",
        "sized",
        "start",
        "top",
        "votes",
        "words",
    )

    def __init__(self, word: str, start: int, quarter: int, box: Box, broken: bool) -> None:
        self.left, self.bottom, self.right, self.top = box
        self.words = [word]
        self.first = self.right - self.left
        self.start = self.sized = self.last = start
        self.quarter, self.broken, self.votes = quarter, broken, len(word)
        self.gap, self.near = _CELL_GAP * (self.top - self.bottom), _SAME_HEIGHT * (self.top - self.bottom)

    def takes(self, word: str, box: Box, broken: bool) -> bool:
        """Whether the word in the box stands on the line, right beside what the line has."""
        left, bottom, right, top = box
        size, height = self.top - self.bottom, top - bottom
        if min(self.top, top) - max(self.bottom, bottom) < _RAISED * min(size, height):
            return False
        if broken and self.words[-1].endswith("-"):
            return False
        most = _CELL_GAP
        if len(self.words) == 1:
            if is_marker(self.words[0]):
                most = _MARKER_GAP
            elif word[0].isalpha() and len(self.words[0]) < 3 and self.words[0].isdigit():
                most = _NUMBER_GAP
        gap = max(left - self.right, self.left - right)
        return gap <= most * max(size, height) and (not broken or gap >= -_BACK * max(size, height))

    def add(self, word: str, start: int, box: Box, broken: bool) -> None:
        """Add a word that it takes."""
        left, bottom, right, top = box
        size = self.top - self.bottom
        # Between words PDFium sees a blank; what it takes for a line of its own may be a raised letter.
        if broken and max(left - self.right, self.left - right) < _LETTER_GAP * size:
            self.words[-1] += word
        else:
            self.words.append(word)
        self.left, self.right, self.last = min(left, self.left), max(right, self.right), start
        # Most letters say how high the line is: raised ones and those of other fonts have other boxes.
        same = abs(top - self.top) < self.near and abs(bottom - self.bottom) < self.near
        self.votes += len(word) if same else -len(word)
        if self.votes < 0:
            self.bottom, self.top, self.votes, self.sized = bottom, top, -self.votes, start
            self.gap, self.near = _CELL_GAP * (top - bottom), _SAME_HEIGHT * (top - bottom)
