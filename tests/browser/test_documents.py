"""Documents that are added, removed and changed while the page is open, in Debian's Chromium."""

from pathlib import Path

import pytest

from tests.browser.conftest import answered, ask, tab
from tests.support.page_server import served

pytestmark = pytest.mark.browser

FOX = "The silver fox of Quellmoor weighs nine kilograms."
QUESTION = "How much does the silver fox of Quellmoor weigh?"


def row(page, source: str):
    return page.locator("#documents tr", has_text=source)


def add(page, path: Path) -> None:
    tab(page, "Documents")
    page.locator("input[type=file]").set_input_files(path)
    row(page, path.name).locator(".state.indexed").wait_for()


def test_a_file_is_added_asked_about_changed_removed_and_refused(page, folder: Path, tmp_path: Path):
    fox = tmp_path / "fox.txt"
    fox.write_text(FOX, "utf-8")
    add(page, fox)
    assert (folder / "docs" / "fox.txt").read_text("utf-8") == FOX
    ask(page, QUESTION)
    answer = answered(page, 0)
    assert FOX in answer.inner_text()

    (folder / "docs" / "fox.txt").write_text(f"A preface.\n{FOX}", "utf-8")
    answer.locator(".changed").wait_for()
    answer.locator("a.label").click()
    page.locator("#source .changed").wait_for()
    assert page.locator("#quote").text_content() == FOX
    assert "the quote has moved" in page.locator("#source").inner_text()

    tab(page, "Documents")
    row(page, "fox.txt").get_by_role("button", name="Remove fox.txt").click()
    row(page, "fox.txt").wait_for(state="detached")
    assert not (folder / "docs" / "fox.txt").exists()
    ask(page, QUESTION)
    assert "declined" in answered(page, 1).get_attribute("class")
    answer.locator("a.label").click()
    page.get_by_text("This document is no longer indexed.").wait_for()
    assert page.locator("#quote").text_content() == FOX


def test_what_cant_be_read_is_named_with_the_reason(page, folder: Path):
    (folder / "docs" / "empty.txt").write_bytes(b"")
    tab(page, "Documents")
    failed = row(page, "empty.txt")
    failed.locator(".state.failed").wait_for()
    assert "It is empty" in failed.inner_text()
    failed.get_by_role("button", name="Remove empty.txt").click()
    failed.wait_for(state="detached")


def test_a_file_that_is_there_already_is_not_replaced(page, folder: Path, tmp_path: Path):
    before = (folder / "docs" / "000_35875361a05a6b5d.txt").read_bytes()
    (tmp_path / "000_35875361a05a6b5d.txt").write_text("Another.", "utf-8")
    tab(page, "Documents")
    page.locator("input[type=file]").set_input_files(tmp_path / "000_35875361a05a6b5d.txt")
    page.get_by_text("000_35875361a05a6b5d.txt is there already. Remove it first").wait_for()

    assert (folder / "docs" / "000_35875361a05a6b5d.txt").read_bytes() == before


def test_documents_are_searched_and_opened(page):
    tab(page, "Documents")
    row(page, "004_4d98d33cc253c48d.txt").wait_for()
    page.get_by_label("Search by name or title").press_sequentially("004_")
    row(page, "000_35875361a05a6b5d.txt").wait_for(state="detached")
    row(page, "004_4d98d33cc253c48d.txt").locator("button.link").click()
    page.locator("#source h2", has_text="004_4d98d33cc253c48d.txt").wait_for()

    assert "Rex Tillerson" in page.locator("#source .text").text_content()


def test_a_page_begins_without_documents_and_goes_on_with_the_first(visit, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    with served(tmp_path) as (url, _):
        page = visit(url)
        page.locator("#status", has_text="has no readable document").wait_for()
        ask(page, QUESTION)
        page.locator("#chat .error", has_text="has no readable document").wait_for()
        (tmp_path / "fox.txt").write_text(FOX, "utf-8")
        add(page, tmp_path / "fox.txt")
        ask(page, QUESTION)
        assert FOX in answered(page, 1).inner_text()


def test_a_page_that_is_read_only_changes_nothing(visit, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "fox.txt").write_text(FOX, "utf-8")
    with served(tmp_path, "--read-only") as (url, _):
        page = visit(url)
        tab(page, "Documents")
        row(page, "fox.txt").locator(".state.indexed").wait_for()
        assert page.get_by_role("button", name="Remove fox.txt").count() == 0
        assert page.get_by_role("button", name="Add files").count() == 0
        assert page.get_by_role("button", name="Rebuild the index").count() == 0


def test_a_page_with_a_password_asks_for_it(visit, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "fox.txt").write_text(FOX, "utf-8")
    with served(tmp_path, RAG_USER="ada", RAG_PASSWORD="lovelace") as (url, _):
        page = visit(url)
        page.get_by_label("username").fill("ada")
        page.get_by_label("password").fill("lovelace")
        page.get_by_role("button", name="Login").click()
        ask(page, QUESTION)

        assert FOX in answered(page, 0).inner_text()
