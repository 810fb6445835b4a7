"""What the formats have in common: text without what is no text, its encoding, a title that is one."""

import contextlib
import re

from rag.documents.encoding import decode

_MAX_TITLE_CHARS = 300
# XML has no other control characters, and U+FFFE and U+FFFF are no characters.
_REMOVED = dict.fromkeys({*range(32), 0xFFFE, 0xFFFF} - {*b"\t\n\v\f"}) | dict.fromkeys(b"\v\f", "\n")
# What programs write where nobody gave a title.
_NO_TITLE = re.compile(
    r"(?:untitled|document|word document|powerpoint presentation)[ -]?\d*|microsoft \w+ - .*"
    r"|.*\.(?:docx?|pptx?|xlsx?|odt|rtf|tex|dvi|ps|pdf|indd|html?|txt)",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """The text with line ends that are line feeds, and no control characters or lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_REMOVED)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def title(text: str | None) -> str | None:
    """The title on one line; None for none, and for what a program made up or nobody would call one."""
    line = " ".join(clean(text or "").split())
    return line if 0 < len(line) <= _MAX_TITLE_CHARS and not _NO_TITLE.fullmatch(line) else None


def decode_stated(content: bytes, charset: str | None) -> str:
    """The content in the encoding that it states, where that fits, or else in the one that it shows.

    UTF-8 comes first: other text hardly ever looks like it, and tools save as UTF-8 what states another.
    `UnreadableError` where no encoding can be told.
    """
    # Nothing that states it in ASCII is in UTF-16, as HTML's own rules have it.
    stated = charset if charset and not charset.lower().startswith("utf-16") else "utf-8"
    for encoding in (stated, "utf-8-sig") if content.isascii() else ("utf-8-sig", stated):
        with contextlib.suppress(LookupError, UnicodeError):
            return content.decode(encoding)
    return decode(content)
