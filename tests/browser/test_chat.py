"""The chat in Debian's Chromium: `pytest -m browser`. Skipped, and says so, where a part is missing."""

import json
from pathlib import Path

import pytest

from tests.browser.conftest import answered, ask, on_screen, tab
from tests.support import SEEDS
from tests.support.page_server import served

pytestmark = pytest.mark.browser

TILLERSON = "Rex Tillerson is scheduled to visit Moscow early next week."
VISIT = "Who is scheduled to visit Moscow early next week?"
CURBS = "Until when did the EU extend its curbs on Syria?"


def test_first_start_ask_and_see_the_sentence_in_its_article(page):
    ask(page, VISIT)
    answer = answered(page, 0)
    assert "“Rex Tillerson is scheduled to visit Moscow early next week.” [1]" in answer.inner_text()
    answer.locator("a.label").click()
    mark = page.locator("#source #quote")
    mark.wait_for()

    assert mark.text_content() == TILLERSON
    source = "004_4d98d33cc253c48d.txt"
    assert page.locator("#source h2").inner_text() == source
    assert "characters 2441-2500" in page.locator("#source .about").inner_text()
    assert page.locator("#source .text").text_content() == (SEEDS / source).read_text("utf-8")
    page.wait_for_function("document.activeElement.id == 'quote'")
    assert on_screen(page, "#quote")
    page.locator("#status", has_text="5 documents indexed.").wait_for()
    assert page.locator("#source .changed").count() == 0


def test_pointing_at_a_citation_shows_its_quote(page):
    ask(page, VISIT)
    answered(page, 0).locator("a.label").hover()
    tip = page.get_by_role("tooltip")
    tip.wait_for()

    assert tip.locator("mark").inner_text() == TILLERSON
    assert "004_4d98d33cc253c48d.txt, characters 2441-2500" in tip.inner_text()
    page.mouse.move(5, 5)
    tip.wait_for(state="detached")


def test_a_tip_stays_while_its_citation_stays_in_place(page):
    ask(page, VISIT)
    answered(page, 0).locator("a.label").hover()
    tip = page.get_by_role("tooltip")
    tip.wait_for()

    page.evaluate("document.dispatchEvent(new Event('scroll'))")  # that of before, told of late
    assert tip.count() == 1
    page.evaluate("document.body.style.marginTop = '40px'; document.dispatchEvent(new Event('scroll'))")
    assert tip.count() == 0


def test_an_unanswerable_question_is_declined_with_the_nearest_passages(page):
    ask(page, "What is the capital of Australia?")
    declined = answered(page, 0)

    assert "declined" in declined.get_attribute("class")
    assert declined.locator(".refusal").inner_text() == "The documents don't say."
    assert "nothing in the documents bears on the question" in declined.inner_text()
    assert declined.locator("mark, .label").count() == 0
    assert declined.locator(".passages a").count() == 5
    declined.locator(".passages a").first.click()
    mark = page.locator("#source #quote")
    mark.wait_for()
    source = page.locator("#source h2").inner_text()
    assert mark.text_content() in (SEEDS / source).read_text("utf-8")


def test_everything_can_be_done_with_the_keyboard_alone(page):
    box = page.get_by_placeholder("Your question")
    box.focus()
    page.keyboard.type(VISIT)
    page.keyboard.press("Enter")
    answered(page, 0)
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.matches('#chat a.label')"):
            break
    page.get_by_role("tooltip").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id == 'quote'")
    assert page.locator("#quote").text_content() == TILLERSON
    page.keyboard.press("Escape")

    assert page.evaluate("document.activeElement.matches('#chat a.label')")


def test_a_follow_up_says_what_it_was_taken_to_mean(page):
    ask(page, "Who is the Kremlin spokesman?")
    answered(page, 0)
    ask(page, "What did he say about Syria?")

    assert "Taken to mean: Who is the Kremlin spokesman? What did he say about Syria?" in (
        answered(page, 1).inner_text()
    )


def test_a_question_is_edited_and_asked_again(page):
    ask(page, "What is the capital of Australia?")
    answered(page, 0)
    ask(page, "Who is the Kremlin spokesman?")
    answered(page, 1)
    page.locator("#chat button[value='edit-0']").click()
    page.get_by_text("Editing question 1").wait_for()
    assert page.get_by_placeholder("Your question").input_value() == "What is the capital of Australia?"
    ask(page, CURBS)
    page.locator("#chat .asked", has_text="curbs").wait_for()
    assert "June 2017" in answered(page, 0).inner_text()
    assert page.locator("#chat .asked").count() == 1
    page.locator("#chat button[value='again-0']").click()
    page.locator("#chat .growing, #chat button[value='again-0']").first.wait_for()

    assert "June 2017" in answered(page, 0).inner_text()
    assert page.locator("#chat .asked").count() == 1


def test_a_conversation_is_found_again_renamed_exported_and_deleted(page, tmp_path: Path):
    ask(page, VISIT)
    answered(page, 0)
    ask(page, "What is the capital of Australia?")
    answered(page, 1)
    page.wait_for_function("Object.keys(localStorage).some(key => key.startsWith('rag.conversation.'))")
    page.reload()
    assert TILLERSON in answered(page, 0).inner_text()
    answered(page, 0).locator("a.label").click()
    page.locator("#source #quote").wait_for()
    assert page.locator("#quote").text_content() == TILLERSON

    tab(page, "Conversations")
    page.get_by_placeholder("New title").fill("Visits <b>& more</b>")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Visits <b>& more</b>").wait_for()
    with page.expect_download() as saving:
        page.get_by_role("button", name="Export JSON").click()
    exported = json.loads(Path(saving.value.path()).read_text("utf-8"))
    assert exported["title"] == "Visits <b>& more</b>"
    (citation,) = exported["turns"][0]["answer"]["citations"]
    assert citation["source"] == "004_4d98d33cc253c48d.txt"
    assert (citation["start"], citation["end"], citation["quote"]) == (2441, 2500, TILLERSON)
    with page.expect_download() as saving:
        page.get_by_role("button", name="Export Markdown").click()
    assert saving.value.suggested_filename == "Visits--b---more--b.md"
    assert f"“{TILLERSON}”" in Path(saving.value.path()).read_text("utf-8")

    page.get_by_role("button", name="New", exact=True).click()
    page.locator("#chat .answer").first.wait_for(state="detached")
    page.get_by_label("Visits <b>& more</b>").click()
    assert TILLERSON in answered(page, 0).inner_text()
    page.get_by_role("button", name="Delete").click()
    page.locator("#chat .answer").first.wait_for(state="detached")
    assert page.get_by_label("Visits <b>& more</b>").count() == 0


def test_an_answer_is_copied_with_its_sources(visit, address: str):
    page = visit(address, permissions=["clipboard-read", "clipboard-write"])
    ask(page, VISIT)
    answered(page, 0).get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == (
        "Rex Tillerson\n"
        "“Rex Tillerson is scheduled to visit Moscow early next week.” [1]\n"
        "[1] 004_4d98d33cc253c48d.txt, characters 2441-2500"
    )


def test_an_answer_can_be_looked_into_and_rated(page, folder: Path):
    ask(page, VISIT)
    answer = answered(page, 0)
    answer.get_by_role("button", name="Look inside").click()
    inside = page.locator(".inside")
    inside.wait_for()
    shown = inside.inner_text()

    assert "004_4d98d33cc253c48d.txt, characters" in shown
    assert "rank 1" in shown
    assert TILLERSON in shown
    assert "retrieve" in shown
    answer.get_by_role("button", name="Right").click()
    page.locator("#chat button.pressed[value='up-0']").wait_for()
    page.reload()
    page.locator("#chat button.pressed[value='up-0']").wait_for()
    line = json.loads((folder / "index" / "feedback.jsonl").read_text("utf-8").splitlines()[-1])
    assert (line["question"], line["rating"], line["answers"]) == (VISIT, "up", ["Rex Tillerson"])


def test_a_question_is_limited_to_chosen_documents(page):
    page.get_by_role("button", name="Ask only some documents").click()
    page.get_by_label("These documents").click()
    page.get_by_role("option", name="000_35875361a05a6b5d.txt").click()
    ask(page, VISIT)
    answered(page, 0)

    assert page.locator("#chat").inner_text().count("004_4d98d33cc253c48d.txt") == 0
    assert "000_35875361a05a6b5d.txt" in page.locator("#chat").inner_text()


def test_stop_ends_an_answer_and_the_next_question_is_answered_at_once(visit, folder: Path, address: str):
    # A model that composes writes for seconds, so that there is something to stop.
    with served(folder, "--mode", "compose") as (url, _):
        page = visit(url)
        ask(page, "Is Moscow's support for Damascus unconditional?")
        page.locator("#chat .growing .passages").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.locator("#chat .error", has_text="Stopped.").wait_for()
        ask(page, CURBS)

        assert "The European Union has extended until June 2017" in answered(page, 1).inner_text()


def test_two_tabs_at_once_each_get_their_answer(visit, address: str):
    first = visit(address)
    second = first.context.new_page()
    second.goto(address)
    ask(first, CURBS)
    ask(second, "Who is the Kremlin spokesman?")

    assert "June 2017" in answered(first, 0).inner_text()
    assert "Peskov" in answered(second, 0).inner_text()
    second.wait_for_function("Object.keys(localStorage).filter(key => key.startsWith('rag.')).length == 2")
    first.reload()
    assert "June 2017" in answered(first, 0).inner_text()
    tab(first, "Conversations")
    first.get_by_label("Who is the Kremlin spokesman?").wait_for()
    assert first.locator("#chat .declined").count() == 0


def test_a_narrow_screen_reads_without_sideways_scroll(visit, address: str):
    page = visit(address, viewport={"width": 360, "height": 740}, has_touch=True, color_scheme="dark")
    ask(page, VISIT)
    answered(page, 0).locator("a.label").tap()
    page.wait_for_function("document.activeElement.id == 'quote'")

    assert page.locator("#quote").text_content() == TILLERSON
    assert on_screen(page, "#quote")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Back to the answer").tap()
    assert page.evaluate("document.activeElement.matches('#chat a.label')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing_serious(visit, address: str, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(address, color_scheme=scheme)
    ask(page, VISIT)
    answered(page, 0).locator("a.label").click()
    page.locator("#quote").wait_for()
    ask(page, "What is the capital of Australia?")
    answered(page, 1).get_by_role("button", name="Look inside").click()
    page.locator(".inside").wait_for()

    found = []
    for name in ("Source", "Look inside", "Documents", "Conversations"):
        tab(page, name)
        page.wait_for_timeout(300)  # colours change over time
        found += [
            (name, finding["id"], node["html"][:200], node["failureSummary"][-200:])
            for finding in axe.run(page).response["violations"]
            for node in finding["nodes"]
            if finding["impact"] in ("serious", "critical")
        ]
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_as_the_readme_shows_it(visit, address: str, scheme: str, tmp_path: Path, pytestconfig):
    page = visit(address, color_scheme=scheme, viewport={"width": 1280, "height": 860})
    ask(page, "What is the capital of Australia?")
    answered(page, 0)
    ask(page, CURBS)
    answered(page, 1).locator("a.label").first.click()
    page.wait_for_function("document.activeElement.id == 'quote'")
    page.locator("#status", has_text="5 documents indexed.").wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)  # until the chat has scrolled
    picture = (pytestconfig.getoption("--screenshots") or tmp_path) / f"chat-{scheme}.png"

    page.screenshot(path=picture)
    assert picture.stat().st_size > 50_000
