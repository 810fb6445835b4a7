"""E-mail (.eml) → its headers, its text, and the messages that it forwards."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parsedate_to_datetime

from rag.documents.encoding import decode
from rag.documents.parsers import Extract
from rag.documents.parsers.html import read_markup
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.documents.parsers.writer import Writer
from rag.errors import UnreadableError
from rag.text.blocks import blocks_of_text

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_MAX_DEPTH = 50
"""How deep messages may be nested in each other and in their parts."""

_MAX_SAID_TWICE = 0.5
"""The share of the words of a web page that its plain text has to have in order to stand for it."""

_WORDS = re.compile(r"\w+")
_HTML = "text/html"
_UNREAD = {*"calendar css rfc822-headers vcard x-amp-html x-vcard".split()}
"""Kinds of text that are for programs, or that another part says too."""


def read_mail(content: bytes) -> Extract:
    """The headers, a line each, and all texts of the body in order, forwarded messages too.

    Of a text that the mail has both plain and as a web page the plain one is read, unless it says something
    else, such as that the mail has to be seen in a browser. Attachments are named. `UnreadableError` for a
    file with none of the headers.
    """
    message = message_from_bytes(content.removeprefix(BOM_UTF8), policy=policy.default)
    writer = Writer()
    headers = _write_headers(message, writer)
    if not headers.keys() - {"Cc"}:
        raise UnreadableError("is not an e-mail: it has no subject, sender, receiver or date")
    _read(message, writer, 0)
    return writer.extract(title(headers.get("Subject")), _day(headers.get("Date", "")))


def _write_headers(message: Message, writer: Writer) -> dict[str, str]:
    headers = {name: line for name in _HEADERS if (line := _header(message, name))}
    for name, line in headers.items():
        writer.add("metadata", f"{name}: {line}")
    return headers


def _header(message: Message, name: str) -> str:
    """The header on one line, "" if there is none; as it stands in the file where it is malformed."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    if not raw.isascii():
        value = decode(raw.encode("utf-8", "surrogateescape"))
    else:
        try:
            value = str(message[name] or "")
        except Exception:  # noqa: BLE001  the parser raises many kinds of errors for a malformed header
            value = raw
    return " ".join(clean(value).split())


def _read(part: Message, writer: Writer, depth: int) -> None:
    """Write what this part and the parts in it say."""
    if depth > _MAX_DEPTH:
        raise UnreadableError("is nested too deep to be read")
    kind, parts = part.get_content_type(), _parts(part)
    if kind == "message/rfc822":
        for message in parts:
            _write_headers(message, writer)
            _read(message, writer, depth + 1)
    elif kind == "multipart/alternative":
        _append(_alternative(parts, depth + 1), writer)
    elif parts:
        for number, inner in enumerate(parts):
            if number and kind == "multipart/related" and inner["Content-ID"]:
                continue  # a picture of the page before
            _read(inner, writer, depth + 1)
    elif _is_read(part):
        _append(_text(part), writer)
    elif name := _filename(part):
        writer.add("metadata", f"Attachment: {name}")


def _parts(part: Message) -> Sequence[Message]:
    payload = part.get_payload()
    return [inner for inner in payload if isinstance(inner, Message)] if isinstance(payload, list) else []


def _is_read(part: Message) -> bool:
    """Whether it is a text of the mail itself; what says to be of parts but has none is one."""
    if part.get_content_disposition() == "attachment" and _filename(part):
        return False
    kind = part.get_content_maintype()
    return (kind == "text" and part.get_content_subtype() not in _UNREAD) or kind == "multipart"


def _filename(part: Message) -> str:
    try:
        name = part.get_filename()
    except Exception:  # noqa: BLE001  the parser raises many kinds of errors for a malformed header
        name = None
    return " ".join(clean(name or "").split())


def _alternative(parts: Sequence[Message], depth: int) -> Extract:
    """The first of the alternatives, the plainest, unless the last one says more and something else."""
    plain, page = (
        next((text for part in order if (text := _alone(part, depth)).text.strip()), Extract(""))
        for order in (parts, parts[::-1])
    )
    words = {word.casefold() for word in _WORDS.findall(plain.text)}
    shown = [word.casefold() for word in _WORDS.findall(page.text)]
    said_twice = sum(word in words for word in shown)
    stands_for = len(shown) <= len(_WORDS.findall(plain.text)) or said_twice >= _MAX_SAID_TWICE * len(shown)
    return plain if stands_for else page


def _alone(part: Message, depth: int) -> Extract:
    writer = Writer()
    _read(part, writer, depth)
    return writer.extract()


def _text(part: Message) -> Extract:
    """The text of a part that has no parts, with its blocks."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return Extract("")
    text = decode_stated(payload, part.get_content_charset())
    if part.get_content_type() == _HTML:
        return read_markup(text)
    text = clean(text).strip("\n").rstrip()
    return Extract(text, blocks=blocks_of_text(text))


def _append(extract: Extract, writer: Writer) -> None:
    writer.append(extract.text, extract.blocks)


def _day(header: str) -> str | None:
    try:
        return parsedate_to_datetime(header).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
