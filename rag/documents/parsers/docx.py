"""Word document (.docx) → text: the only module that imports docx."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import clean, title
from rag.errors import UnreadableError

_MAX_UNPACKED_BYTES = 200_000_000
_MAX_PACKED_FILES = 10_000
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
_TEMPLATE_DATE = "2013-12-23"
"""The date that python-docx gives to every document without one."""

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH, _TABLE, _TEXT = f"{_WORD}p", f"{_WORD}tbl", f"{_WORD}t"
_CHARACTERS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "-"}
# Properties, tracked deletions, and the second copy of a text box.
_SKIPPED = {
    *(f"{_WORD}{name}" for name in ("pPr", "rPr", "sdtPr", "del", "moveFrom")),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}


def read_word(content: bytes) -> Extract:
    """The paragraphs and tables with blank lines between them; a table row is one line.

    `UnreadableError` for a file that is encrypted or too large unpacked; other errors for a damaged one.
    """
    import docx

    if content.startswith(_COMPOUND_FILE):
        raise UnreadableError("is encrypted, or a .doc; save it as .docx without a password")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = [file.file_size for file in archive.infolist()]
    if len(sizes) > _MAX_PACKED_FILES or sum(sizes) > _MAX_UNPACKED_BYTES:
        raise UnreadableError(
            f"unpacks to {sum(sizes):,} bytes in {len(sizes):,} files, more than the "
            f"{_MAX_UNPACKED_BYTES:,} in {_MAX_PACKED_FILES:,} that are read"
        )
    document = docx.Document(io.BytesIO(content))
    properties = document.core_properties
    created = properties.created.date().isoformat() if properties.created else None
    text = clean("\n\n".join(_blocks(document.element.body)))
    return Extract(text, title(properties.title), None if created == _TEMPLATE_DATE else created)


def _blocks(element: Any) -> Iterator[str]:
    """The paragraphs and tables in order.

    python-docx's own iterator skips content controls and tracked insertions, and repeats merged cells.
    """
    for child in element:
        if child.tag == _PARAGRAPH:
            if text := "".join(_runs(child)).strip():
                yield text
        elif child.tag == _TABLE:
            yield "\n".join(_row(row) for row in child.xpath("./w:tr | ./w:sdt/w:sdtContent/w:tr"))
        elif child.tag not in _SKIPPED:
            yield from _blocks(child)


def _row(row: Any) -> str:
    cells = row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc")
    return " | ".join(" ".join(" ".join(_blocks(cell)).split()) for cell in cells)


def _runs(element: Any) -> Iterator[str]:
    for child in element:
        if child.tag == _TEXT:
            yield child.text or ""
        elif child.tag in _CHARACTERS:
            yield _CHARACTERS[child.tag]
        elif child.tag not in _SKIPPED:
            yield from _runs(child)
            if child.tag == _PARAGRAPH:  # of a text box, inside another paragraph
                yield "\n"
