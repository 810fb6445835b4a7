"""Documents, names and kept conversations that hold markup are shown as text, in Debian's Chromium."""

from dataclasses import replace
from pathlib import Path

import pytest

from rag.interfaces.chat.conversation import Conversation, Turn, record
from rag.types import Citation, Passage
from tests.browser.conftest import answered, ask, tab
from tests.support.chat_examples import ANSWER
from tests.support.texts import HOSTILE

pytestmark = pytest.mark.browser

ID = "0123456789abcdef" * 2
NAMES = (
    "<img src=x onerror=document.title='pwned'>.txt",
    "![image](http:.example.invalid).txt",
    "a\" onmouseover=\"document.title='pwned'.txt",
    "<script>document.title='pwned'<.script>.txt",
    "{{x}} ${x} &lt;b&gt;.txt",
)
BAD = (
    "script, img, svg, iframe, form, style, link, meta, object, embed, h1, strong, em, code, input, [onerror]"
)


@pytest.fixture(scope="module")
def folder(folder: Path) -> Path:
    """The seed articles, and documents whose text and names are markup."""
    lines = [f"The zebra regulation number {number} says {text}" for number, text in enumerate(HOSTILE)]
    (folder / "docs" / "hostile.txt").write_text("\n\n".join(lines).replace("\0", ""), "utf-8")
    for name in NAMES:
        (folder / "docs" / name).write_text(f"The name of this yak is {name}.", "utf-8")
    return folder


def conversation() -> str:
    """A record of which each turn has a hostile text for everything that isn't the program's own."""
    turns = []
    for text in HOSTILE:
        passage = Passage(f"{text}.txt", 0, len(text), text, 0.5, title=text)
        answer = replace(
            ANSWER,
            question=text,
            text=f"“{text}” [1]",
            short=None,
            citations=(Citation(1, passage.source, 0, len(text), text),),
            passages=(passage,),
            taken_as=text,
            model=text,
        )
        turns.append(Turn(text, answer))
    return record(Conversation(ID, HOSTILE[0], tuple(turns)))


def words(text: str) -> str:
    return "".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}").split())


def test_a_kept_conversation_shows_whatever_it_holds_as_text(page, address: str):
    page.evaluate(
        """([id, record]) => {
            localStorage.setItem(`rag.conversation.${id}`, JSON.stringify({title: "x", changed: 1, record}));
            sessionStorage.setItem("rag.open", id);
        }""",
        [ID, conversation()],
    )
    page.reload()
    answered(page, len(HOSTILE) - 1)

    assert page.locator("#chat .answer").count() == len(HOSTILE)
    shown = page.locator("#chat .answer .quote").all_text_contents()
    asked = page.locator("#chat .asked").all_text_contents()
    for text, quote, question in zip(HOSTILE, shown, asked, strict=True):
        if not any(ord(character) < 32 and not character.isspace() for character in text):
            assert words(text) in words(quote)
            assert words(question) == words(text)
    page.locator("#chat button[value='inside-0']").click()
    page.locator(".inside").wait_for()
    page.locator("#chat a[href='#cite-1-0']").first.hover()
    page.get_by_role("tooltip").wait_for()
    page.locator("#chat a[href='#cite-1-0']").first.click()
    page.locator("#source .changed").wait_for()
    tab(page, "Conversations")

    assert page.title() == "Ask the documents"
    for pane in ("#chat .message-content", "#source", ".inside", "#tip"):
        assert page.locator(pane).locator(BAD).count() == 0


def test_a_document_of_markup_is_quoted_and_opened_as_text(page, folder: Path):
    ask(page, "What does the zebra regulation number 0 say?")
    answered(page, 0).locator("a.label").first.click()
    page.locator("#source #quote").wait_for()

    text = (folder / "docs" / "hostile.txt").read_text("utf-8")
    assert page.locator("#source .text").text_content() == text
    assert page.locator("#quote").text_content() in text
    assert page.locator("#source, #chat .message-content").locator(BAD).count() == 0
    assert page.title() == "Ask the documents"


def test_names_of_files_are_shown_as_text(page):
    tab(page, "Documents")
    page.locator("#documents td", has_text="{{x}}").wait_for()
    listed = page.locator("#documents td button.link").all_text_contents()
    assert {*NAMES} <= {*listed}
    page.locator("#documents td button.link", has_text="<img src").click()
    page.locator("#source h2", has_text="<img src").wait_for()
    page.get_by_role("button", name="Ask only some documents").click()
    page.get_by_label("These documents").click()
    page.get_by_role("option", name="<img src").wait_for()

    assert page.locator("#source, #documents, #status, ul.options").locator(BAD).count() == 0
    assert page.title() == "Ask the documents"
