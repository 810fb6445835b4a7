"""Documents of other formats than plain text, made by hand where a library would make them too well."""

import io
import zipfile
import zlib

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
# Any password but this one's is wrong, so no page needs to be really encrypted.
LOCK = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'5a' * 32}> /U <{'a5' * 32}> >>".encode()


def shown(text: str) -> bytes:
    """The content of a page with this text, a line each."""
    lines = (line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in text.split("\n"))
    return b"BT /F1 12 Tf 14 TL 72 720 Td %s ET" % b" ".join(
        b"(%s) Tj T*" % line.encode("cp1252") for line in lines
    )


def pdf(*pages: str | bytes, about: str = "", filters: str = "", locked: bool = False) -> bytes:
    """A PDF with these pages: texts, or contents that these filters unpack.

    `about` is its information, such as "/Title (River)".
    """
    objects = [CATALOG, b"", FONT, f"<< {about} >>".encode("latin-1"), LOCK]
    numbers = []
    for page in pages:
        content = shown(page) if isinstance(page, str) else page
        filtered = f"/Filter [{filters}]".encode() if isinstance(page, bytes) else b""
        objects.append(
            b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filtered, content),
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        numbers.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), b" ".join(numbers))
    made, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    lock = b"/Encrypt 5 0 R /ID [<00> <00>]" if locked else b""
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info 4 0 R %s >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, lock, len(made))
    )


def word(document) -> bytes:
    """The file of a Word document that python-docx made."""
    content = io.BytesIO()
    document.save(content)
    return content.getvalue()


def word_of(body: str, *, before: str = "", more: dict[str, bytes] | None = None) -> bytes:
    """The file of a Word document with this XML for its body, and more files beside it."""
    import docx

    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(word(docx.Document()))) as whole,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            if name == "word/document.xml":
                space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
                content = (
                    f'{before}<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'.encode()
                )
            changed.writestr(name, content)
        for name, content in (more or {}).items():
            changed.writestr(name, content)
    return made.getvalue()


def packed(block: bytes, times: int) -> bytes:
    """What unpacks to this block so many times over, without having been so long itself."""
    packer = zlib.compressobj(9)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return once[:2] + once[2:] * times + packer.flush()


BOMB = pdf(zlib.compress(packed(bytes(1 << 20), 3000)), filters="/FlateDecode /FlateDecode")
"""9 kB that unpack to 3 GB."""
