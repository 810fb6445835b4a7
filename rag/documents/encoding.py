"""A file's bytes → its text, in whatever encoding it was saved.

A byte-order mark decides, then zero bytes (UTF-16), then UTF-8 where it fits. Older encodings are detected
among those of Latin or of other scripts (charset_normalizer), with Windows-1252 preferred for Latin letters:
it is by far the commonest, and the others differ from it in few letters.
"""

import codecs
import io
import re
from collections import Counter

from rag.errors import UnreadableError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, as its little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LATIN = ("cp1252", "cp1250", "iso8859_2", "cp1254")
_OTHER_SCRIPTS = (
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
    *("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256"),
)
"""Each in order of preference, where the detector finds no difference."""

_MESS, _COHERENCE = 0.05, 0.1
"""Smaller differences between two encodings don't count: chosen on tests/documents/test_encoding.py."""

_CONTROL = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})
_MAX_CONTROL = 0.05
_HIGH_RUN = re.compile(rb"[\x80-\xff]{3,}")
_ASCII = bytes(range(128))
_SAMPLE_BYTES = 1_000_000
_UNDETECTED = "is in an encoding that can't be detected; save it as UTF-8"


def decode(content: bytes) -> str:
    """The text exactly as saved, without its byte-order mark; "" for no bytes.

    `UnreadableError` for binary content, and when the encoding can't be detected.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode_as(encoding, content[len(mark) :])
    if b"\0" in content:
        return _decode_as(_utf_16(content), content)
    if len(content) - len(content.translate(None, _CONTROL)) > len(content) * _MAX_CONTROL:
        raise UnreadableError("is binary, not text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if _is_damaged_utf_8(content):
            raise UnreadableError(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    try:
        return content.decode(_detected(content))
    except UnicodeDecodeError as error:
        raise UnreadableError(_UNDETECTED) from error


def _decode_as(encoding: str, content: bytes) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        raise UnreadableError(f"is not {name} text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise UnreadableError("is binary, not text")
    return text


def _utf_16(content: bytes) -> str:
    """The byte order of a UTF-16 text, most of whose high bytes are zero or of one script."""
    little = content[1::2].count(0) > content[::2].count(0)
    high_bytes = content[1::2] if little else content[::2]
    commonest = dict(Counter(high_bytes[:_SAMPLE_BYTES]).most_common(2))
    needed = 0.8 * min(len(high_bytes), _SAMPLE_BYTES)
    if len(content) % 2 or 0 not in commonest or sum(commonest.values()) < needed:
        raise UnreadableError("is binary, not text")
    return "utf-16-le" if little else "utf-16-be"


def _is_damaged_utf_8(content: bytes) -> bool:
    """Whether most characters beyond ASCII are valid UTF-8, as in a truncated file."""
    text = content.decode("utf-8", "replace")
    wrong = text.count("\N{REPLACEMENT CHARACTER}")
    return len(text) - len(text.encode("ascii", "ignore")) > 2 * wrong


def _detected(content: bytes) -> str:
    """The likeliest older encoding, which may still fail on the content; `UnreadableError` if none fits."""
    from charset_normalizer import from_bytes

    sample = _non_ascii_lines(content)
    # Latin text has single letters beyond ASCII, other scripts have whole words.
    in_words = sum(map(len, _HIGH_RUN.findall(sample)))
    candidates = _OTHER_SCRIPTS if 2 * in_words > len(sample.translate(None, _ASCII)) else _LATIN
    matches = list(from_bytes(sample, cp_isolation=list(candidates), enable_fallback=False))
    if not matches and candidates is _OTHER_SCRIPTS:
        raise UnreadableError(_UNDETECTED)
    least = min((match.chaos for match in matches), default=0.0)
    matches = [match for match in matches if match.chaos <= least + _MESS]
    most = max((match.coherence for match in matches), default=0.0)
    matches = [match for match in matches if match.coherence >= most - _COHERENCE]
    likely = {encoding for match in matches for encoding in match.could_be_from_charset}
    return next((encoding for encoding in candidates if encoding in likely), candidates[0])


def _non_ascii_lines(content: bytes) -> bytes:
    """The whole lines with bytes beyond ASCII, until they exceed `_SAMPLE_BYTES`."""
    lines, size = [], 0
    for line in io.BytesIO(content):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > _SAMPLE_BYTES:
                break
    return b"".join(lines)
