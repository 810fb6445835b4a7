"""What the browser tests share: Debian's Chromium, and the page served over a folder of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import SEEDS
from tests.support.page_server import served

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
PATIENCE_MS = 300_000
"""How long an event of the page is waited for: an answer takes seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="keep the pictures of the page for the README here")


@pytest.fixture(scope="package")  # Playwright's loop would be in the way of the tests after these
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seed articles in a folder of the module's own, not indexed."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(SEEDS, folder / "docs")
    return folder


@pytest.fixture(scope="module")
def address(browser, folder: Path) -> Iterator[str]:
    """The page, from an empty index."""
    with served(folder) as (url, _):
        yield url


@pytest.fixture
def visit(browser) -> Iterator[Callable]:
    """A new browser profile at an address; nothing outside that is asked for, and no script fails."""
    contexts, pages = [], []

    def visiting(url: str, **options):
        context = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | options))
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        pages.append(page)
        page.origin, page.requested, page.failed = url, [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.failed.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(url)
        return page

    yield visiting
    asked = [url for page in pages for url in page.requested if not url.startswith(("data:", "blob:"))]
    own = {page.origin for page in pages}
    failed = [failure for page in pages for failure in page.failed]
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(tuple(own))] == []
    assert failed == []


@pytest.fixture
def page(visit: Callable, address: str):
    return visit(address)


def ask(page, question: str) -> None:
    page.get_by_placeholder("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def answered(page, number: int):
    """The answer of the turn of this number, from 0, once it is whole."""
    found = page.locator(f"#chat .answer:has(button[value='copy-{number}'])")
    found.wait_for()
    return found


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def on_screen(page, selector: str) -> bool:
    """Whether all of it can be seen: inside the window and inside what it is scrolled in."""
    return page.locator(selector).evaluate(
        """element => {
            const inside = (one, all) => one.top >= all.top - 1 && one.bottom <= all.bottom + 1;
            const own = element.getBoundingClientRect();
            const text = element.closest(".text")?.getBoundingClientRect() ?? own;
            return inside(own, {top: 0, bottom: innerHeight}) && inside(own, text) && own.height > 0;
        }"""
    )
