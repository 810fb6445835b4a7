"""What people do in a hurry, and what goes wrong, in Debian's Chromium."""

from pathlib import Path

import pytest

from tests.browser.conftest import answered, ask, tab
from tests.support.page_server import served

pytestmark = pytest.mark.browser

VISIT = "Who is scheduled to visit Moscow early next week?"
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('rag.conversation.')).length"


def told(page, sentence: str) -> None:
    page.get_by_test_id("toast-body").filter(has_text=sentence).wait_for()


def test_errors_are_one_sentence_on_the_page(page):
    page.get_by_role("button", name="Ask", exact=True).click()
    told(page, "The question is empty. Type one.")
    tab(page, "Conversations")
    page.get_by_role("button", name="Export JSON").click()
    told(page, "This conversation is empty. Ask something first.")
    assert page.locator("#chat .asked").count() == 0
    ask(page, "x" * 4_000)
    page.locator("#chat .error, #chat .refusal").first.wait_for()
    assert page.locator("#chat .asked").count() == 1


def test_a_kept_conversation_that_is_damaged_is_told_of(page):
    page.evaluate("localStorage.setItem('rag.conversation.0123', 'not JSON')")
    page.evaluate("sessionStorage.setItem('rag.open', '0123')")
    page.reload()
    told(page, "This conversation can't be read: it is damaged. Delete it.")
    assert page.locator("#chat .answer").count() == 0


def test_a_conversation_that_storage_has_no_room_for_is_told_of_and_not_lost(page):
    page.evaluate("void (Storage.prototype.setItem = () => { throw new Error('full') })")
    ask(page, VISIT)
    answered(page, 0)
    told(page, "The browser's storage is full, so this conversation isn't saved.")
    tab(page, "Conversations")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_timeout(1000)

    assert "Rex Tillerson" in answered(page, 0).inner_text()


def test_a_double_click_asks_once(page):
    page.get_by_placeholder("Your question").fill(VISIT)
    page.get_by_role("button", name="Ask", exact=True).dblclick()
    answered(page, 0)
    page.wait_for_function(f"{KEPT} == 1")
    page.wait_for_timeout(2000)

    assert page.locator("#chat .asked").count() == 1
    assert page.evaluate(KEPT) == 1


def test_new_at_once_leaves_nothing_behind(page):
    ask(page, VISIT)
    tab(page, "Conversations")
    page.get_by_role("button", name="New", exact=True).click()
    page.locator("#chat .asked").first.wait_for(state="detached")
    page.wait_for_timeout(3000)

    assert page.locator("#chat .asked, #chat .answer").count() == 0
    ask(page, VISIT)
    assert "Rex Tillerson" in answered(page, 0).inner_text()
    assert page.locator("#chat .asked").count() == 1


def test_a_question_is_not_lost_with_its_page(page):
    page.locator("#status", has_text="documents indexed.").wait_for()
    page.route("**/gradio_api/queue/join*", lambda route: route.abort())
    ask(page, VISIT)
    page.wait_for_function("sessionStorage.getItem('rag.asking')")
    page.reload()
    page.wait_for_function(f"document.querySelector('#question textarea')?.value == '{VISIT}'")
    assert page.locator("#chat .asked").count() == 0


def test_two_tabs_on_one_conversation_lose_nothing(visit, address: str):
    first = visit(address)
    ask(first, VISIT)
    answered(first, 0)
    first.wait_for_function(f"{KEPT} == 1")
    second = first.context.new_page()
    second.goto(address)
    tab(second, "Conversations")
    second.get_by_label(VISIT).click()  # its state may change once more, as the list comes
    answered(second, 0)
    ask(second, "Who is the Kremlin spokesman?")
    answered(second, 1)
    second.wait_for_function("localStorage[Object.keys(localStorage)[0]].includes('Kremlin spokesman')")
    ask(first, "Until when did the EU extend its curbs on Syria?")
    answered(first, 1)
    told(first, "Another tab continued this conversation.")

    kept = first.evaluate("Object.values(localStorage)")
    assert len(kept) == 2
    assert sum("June 2017" in one for one in kept) == 1
    assert sum("Who is the Kremlin spokesman?" in one for one in kept) == 1


def test_a_passage_that_is_being_read_can_be_opened(visit, folder: Path, address: str):
    with served(folder, "--mode", "compose") as (url, _):
        page = visit(url)
        ask(page, "Is Moscow's support for Damascus unconditional?")
        page.locator("#chat .growing .passages a").first.click()
        page.locator("#source #quote").wait_for()
        assert page.locator("#chat .growing").count() == 1
        page.get_by_role("button", name="Stop").click()
        page.locator("#chat .error", has_text="Stopped.").wait_for()


def test_a_chosen_document_that_is_gone_is_told_of(page, folder: Path):
    (folder / "docs" / "gone.txt").write_text("The gnu grazes.", "utf-8")
    page.get_by_role("button", name="Ask only some documents").click()
    tab(page, "Documents")
    page.locator("#documents tr", has_text="gone.txt").locator(".indexed").wait_for()
    page.get_by_label("These documents").click()
    page.get_by_role("option", name="gone.txt").click()
    (folder / "docs" / "gone.txt").unlink()
    page.locator("#documents tr", has_text="gone.txt").wait_for(state="detached")
    ask(page, VISIT)
    page.locator("#chat .error").wait_for()
    assert "has no document gone.txt" in page.locator("#chat .error").inner_text()


def test_a_quote_over_several_lines_is_copied_as_it_stands(visit, folder: Path, address: str):
    text = (
        "The wrapped giraffe of the northern plain sleeps, as the keeper of the\n"
        "reserve has said in many letters to the ministry, in the morning sun of\n"
        "the valley below the dam."
    )
    (folder / "docs" / "wrapped.txt").write_text(text, "utf-8")
    page = visit(address, permissions=["clipboard-read", "clipboard-write"])
    tab(page, "Documents")
    page.locator("#documents tr", has_text="wrapped.txt").locator(".indexed").wait_for()
    ask(page, "Where does the wrapped giraffe of the northern plain sleep?")
    answered(page, 0).get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()

    assert f"“{text}” [1]" in page.evaluate("navigator.clipboard.readText()")
