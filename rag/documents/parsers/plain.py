"""What the formats share: cleaning text, decoding it, and recognising a title."""

import contextlib
import re

from rag.documents.encoding import decode

_MAX_TITLE_CHARS = 300
# XML allows no other control characters, and U+FFFE and U+FFFF are not characters.
_REMOVED = dict.fromkeys({*range(32), 0xFFFE, 0xFFFF} - {*b"\t\n\v\f"}) | dict.fromkeys(b"\v\f", "\n")
# What programs write when nobody gives a title.
_NO_TITLE = re.compile(
    r"(?:untitled|document|word document|powerpoint presentation)[ -]?\d*|microsoft \w+ - .*"
    r"|.*\.(?:docx?|pptx?|xlsx?|odt|rtf|tex|dvi|ps|pdf|indd|html?|txt)",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """The text with line feeds as line ends, and without control characters or lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_REMOVED)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def title(text: str | None) -> str | None:
    """The title on one line; None for an empty, an overlong or a program's default one."""
    line = " ".join(clean(text or "").split())
    return line if 0 < len(line) <= _MAX_TITLE_CHARS and not _NO_TITLE.fullmatch(line) else None


def decode_stated(content: bytes, charset: str | None) -> str:
    """The content in the stated encoding where that fits, or else in the detected one.

    UTF-8 comes first: other text is hardly ever valid UTF-8, and tools save UTF-8 that states otherwise.
    `UnreadableError` when the encoding can't be detected.
    """
    # A statement that is readable as ASCII can't be in UTF-16, as in HTML's own rules.
    stated = charset if charset and not charset.lower().startswith("utf-16") else "utf-8"
    for encoding in (stated, "utf-8-sig") if content.isascii() else ("utf-8-sig", stated):
        with contextlib.suppress(LookupError, UnicodeError):
            return content.decode(encoding)
    return decode(content)
