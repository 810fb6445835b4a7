"""E-mail (.eml) → text: the four headers that matter, and the body without attachments."""

from codecs import BOM_UTF8
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from rag.documents.encoding import decode
from rag.documents.parsers import Extract
from rag.documents.parsers.html import read_markup
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.errors import UnreadableError

_HEADERS = ("Subject", "From", "To", "Date")


def read_mail(content: bytes) -> Extract:
    """The headers, a line each, and the body: its plain text, or else the text of its HTML.

    `UnreadableError` for a file with none of the headers.
    """
    message = message_from_bytes(content.removeprefix(BOM_UTF8), policy=policy.default)
    headers = {name: line for name in _HEADERS if (line := _header(message, name))}
    if not headers:
        raise UnreadableError("is not an e-mail: it has no subject, sender, receiver or date")
    lines = "\n".join(f"{name}: {line}" for name, line in headers.items())
    text = clean(f"{lines}\n\n{_body(message)}").strip()
    return Extract(text, title(headers.get("Subject")), _day(headers.get("Date", "")))


def _header(message: EmailMessage, name: str) -> str:
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


def _body(message: EmailMessage) -> str:
    plain, page = (_text(message.get_body((kind,))) for kind in ("plain", "html"))
    return plain if plain.strip() or not page else read_markup(page).text


def _text(part: MIMEPart | None) -> str:
    payload = part.get_payload(decode=True) if part is not None else b""
    if part is None or not isinstance(payload, bytes):
        return ""
    return decode_stated(payload, part.get_content_charset())


def _day(header: str) -> str | None:
    try:
        return parsedate_to_datetime(header).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
