from email.message import EmailMessage

import pytest

from rag.documents.parsers import Extract
from rag.documents.parsers.eml import read_mail
from rag.errors import UnreadableError
from tests.support.outline import outline


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in headers.items():
        made[name] = value
    return made


def blocks(message: EmailMessage) -> list[str]:
    return outline(read_mail(message.as_bytes()))


def test_a_mail_is_its_headers_and_its_plain_text():
    message = mail(
        Subject="Über den Krieg",
        From="Ada Löf <ada@example.org>",
        To="b@example.org, c@example.org",
        Cc="d@example.org",
        Date="Mon, 03 Apr 2017 23:59:00 -1100",
        Received="from nowhere",
    )
    message.set_content("War and bread.\n\nÀ bientôt, in the river.")
    message.add_alternative("<p>War, and bread. À bientôt!</p>", subtype="html")
    message.add_attachment(b"not this", maintype="text", subtype="plain", filename="a.txt")

    extract = read_mail(message.as_bytes())

    assert extract == Extract(
        "Subject: Über den Krieg\nFrom: Ada Löf <ada@example.org>\nTo: b@example.org, c@example.org\n"
        "Cc: d@example.org\nDate: Mon, 03 Apr 2017 23:59:00 -1100\n\n"
        "War and bread.\n\nÀ bientôt, in the river.\n\nAttachment: a.txt",
        title="Über den Krieg",
        date="2017-04-03",
        blocks=extract.blocks,
    )
    assert outline(extract) == [
        "metadata: Subject: Über den Krieg",
        "metadata: From: Ada Löf <ada@example.org>",
        "metadata: To: b@example.org, c@example.org",
        "metadata: Cc: d@example.org",
        "metadata: Date: Mon, 03 Apr 2017 23:59:00 -1100",
        "paragraph: War and bread.",
        "paragraph: À bientôt, in the river.",
        "metadata: Attachment: a.txt",
    ]


def test_a_mail_without_plain_text_is_its_web_page():
    message = mail(Subject="War")
    message.set_content(" \n")
    message.add_alternative("<table><tr><td><h1>Bread</h1><p>Was it dear?</p></table>", subtype="html")

    assert blocks(message) == ["metadata: Subject: War", "heading 1: Bread", "paragraph: Was it dear?"]


def test_a_plain_text_that_only_says_to_read_the_web_page_is_not_read():
    message = mail(Subject="War")
    message.set_content("To see this message, open it in a browser.")
    message.add_alternative(
        "<p>The swap of tomatoes takes place on 20 April in the depot.</p>", subtype="html"
    )
    message.get_payload()[1].add_related(b"GIF", maintype="image", subtype="gif", cid="<a>", filename="a.gif")

    assert blocks(message) == [
        "metadata: Subject: War",
        "paragraph: The swap of tomatoes takes place on 20 April in the depot.",
    ]


def test_all_texts_are_read_in_order():
    message = mail(Subject="War")
    message.set_content("Here is the bridge.")
    message.add_attachment(b"GIF", maintype="image", subtype="gif", filename="a b.gif", disposition="inline")
    message.add_attachment("Three planks are rotten.", disposition="inline")
    message.add_attachment("<ul><li>salt</ul>", subtype="html", disposition="inline")
    message.add_attachment("BEGIN:VCALENDAR", subtype="calendar", disposition="inline")

    assert blocks(message) == [
        "metadata: Subject: War",
        "paragraph: Here is the bridge.",
        "metadata: Attachment: a b.gif",
        "paragraph: Three planks are rotten.",
        "item 1: - salt",
    ]


def test_a_forwarded_message_is_read_with_its_headers():
    inmost = mail(Subject="Planks", From="c@example.org")
    inmost.set_content("Three.")
    inner = mail(Subject="Bridge", Cc="d@example.org")
    inner.set_content("The bridge is rotten.")
    inner.add_attachment(inmost)
    message = mail(Subject="Fwd: Bridge")
    message.set_content("See below.")
    message.add_attachment(inner)

    assert blocks(message) == [
        "metadata: Subject: Fwd: Bridge",
        "paragraph: See below.",
        "metadata: Subject: Bridge",
        "metadata: Cc: d@example.org",
        "paragraph: The bridge is rotten.",
        "metadata: Subject: Planks",
        "metadata: From: c@example.org",
        "paragraph: Three.",
    ]


def test_a_mail_that_is_nested_too_deep():
    content = b"Content-Type: message/rfc822\n\n".join([b"Subject: War\n"] * 60)

    with pytest.raises(UnreadableError) as raised:
        read_mail(content)
    assert str(raised.value) == "is nested too deep to be read"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: War\n", Extract("Subject: War", title="War")),
        (b"\xef\xbb\xbfSubject: War\n\nBread", Extract("Subject: War\n\nBread", title="War")),
        ("Subject: Café\n\nZürich".encode(), Extract("Subject: Café\n\nZürich", title="Café")),
        (b"Subject: caf\xe9\n\nZ\xfcrich", Extract("Subject: café\n\nZürich", title="café")),
        (
            b"Subject: =?utf-8?q?Caf=C3=A9?=\n =?x?q?y?=\n",
            Extract("Subject: Caféy", title="Caféy"),
        ),
        (b'From: "a <<>\nDate: never\n\nWar', Extract('From: "a <<>"\nDate: never\n\nWar')),
        (
            b"From: a@b\nDate: Mon, 99 Apr 2017 10:00:00\n",
            Extract("From: a@b\nDate: Mon, 99 Apr 2017 10:00:00"),
        ),
        (
            b"From: a@b\nContent-Type: text/plain; charset=none\nContent-Transfer-Encoding: base64\n\nV2Fy!",
            Extract("From: a@b\n\nWar"),
        ),
        (b"From: a@b\nContent-Type: multipart/mixed\n\nWar", Extract("From: a@b\n\nWar")),
        (b"From: a@b\nContent-Type: image/png\n\nWar", Extract("From: a@b")),
        (
            b"From: a@b\nContent-Type: message/rfc822\n\nSubject: inner\n\nWar",
            Extract("From: a@b\nSubject: inner\n\nWar"),
        ),
    ],
)
def test_an_odd_mail(content, expected):
    extract = read_mail(content)

    assert (extract.text, extract.title, extract.date) == (expected.text, expected.title, expected.date)
    assert len(outline(extract)) == len(extract.blocks)


@pytest.mark.parametrize("content", [b"War and bread.\n\nPeace", b"Cc: a@example.org\n\nPeace"])
def test_a_file_without_headers_is_not_a_mail(content):
    with pytest.raises(UnreadableError) as raised:
        read_mail(content)
    assert str(raised.value) == "is not an e-mail: it has no subject, sender, receiver or date"
