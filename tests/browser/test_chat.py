"""The chat in Debian's Chromium: `pytest -m browser`. Skipped, and says so, where a part is missing."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SEEDS

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
if CHROMIUM is None:
    pytest.skip("needs chromium: apt-get install chromium", allow_module_level=True)

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seed articles and a hostile one, not indexed."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(SEEDS, folder / "seeds")
    (folder / "seeds" / "hostile.txt").write_text(
        "The zebra regulation <img src=x onerror=document.title='pwned'> says "
        "<script>document.title='pwned'</script> **stripes** are [mandatory](http://example.invalid/).\n",
        "utf-8",
    )
    return folder


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of the page over the folder's documents."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--documents", str(folder / "seeds"), "--index", str(folder / "index")]
    with (folder / f"log-{port}").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "rag", "serve", *places, *options, "--port", str(port)],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        if server.poll() is not None:
            pytest.fail((folder / f"log-{port}").read_text())
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            break
        time.sleep(0.1)
    try:
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The page, from an empty index."""
    with served(folder) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def page(browser, address: str):
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    opened.requested = []
    opened.on("request", lambda request: opened.requested.append(request.url))
    opened.goto(address)
    yield opened
    context.close()


def ask(page, question: str) -> None:
    page.get_by_placeholder("Your question").fill(question)
    page.get_by_role("button", name="Ask").click()


def test_first_start_ask_and_see_the_quote_highlighted(page, address: str):
    ask(page, "Who is scheduled to visit Moscow early next week?")
    mark = page.locator("#chat mark").first
    mark.wait_for(timeout=120_000)

    assert mark.inner_text() == "Rex Tillerson is scheduled to visit Moscow early next week."
    assert (
        "004_4d98d33cc253c48d.txt, characters 2441-2500" in page.locator("#chat summary").first.inner_text()
    )
    assert "6 documents indexed." in page.locator("#status").inner_text()
    outside = [url for url in page.requested if not url.startswith((address, "data:", "blob:"))]
    assert outside == []


def test_an_unanswerable_question_is_declined(page):
    ask(page, "What is the capital of Australia?")
    declined = page.locator("#chat .declined")
    declined.wait_for(timeout=120_000)

    assert declined.inner_text() == "The documents don't say."
    assert "Nearest passages: 5" in page.locator("#chat").inner_text()
    assert page.locator("#chat mark").count() == 0


def test_markup_in_a_document_is_shown_as_text(page):
    ask(page, "What does the zebra regulation say about stripes?")
    mark = page.locator("#chat mark").first
    mark.wait_for(timeout=120_000)

    assert mark.inner_text() == (
        "The zebra regulation <img src=x onerror=document.title='pwned'> says "
        "<script>document.title='pwned'</script> **stripes** are [mandatory](http://example.invalid/)."
    )
    assert page.title() == "Ask the documents"
    assert page.locator("#chat a, #chat img, #chat script, #chat mark strong").count() == 0


def test_stop_ends_an_answer_and_the_next_question_is_answered(browser, folder: Path):
    # A model that composes writes for seconds, so that there is something to stop.
    with served(folder, "--mode", "compose") as url:
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        page = context.new_page()
        page.goto(url)
        ask(page, "Is Moscow's support for Damascus unconditional?")
        page.locator("#chat details").first.wait_for(timeout=120_000)
        page.get_by_role("button", name="Stop").click()
        page.locator("#chat .note", has_text="Stopped.").wait_for(timeout=120_000)
        ask(page, "Until when did the EU extend its curbs on Syria?")
        page.locator("#chat mark", has_text="June 2017").wait_for(timeout=120_000)

        assert (
            page.locator("#chat mark").first.inner_text().startswith("The European Union has extended until")
        )
        context.close()


def test_two_pages_at_once_each_get_their_answer(browser, address: str):
    context = browser.new_context()
    pages = [context.new_page(), context.new_page()]
    questions = ("Until when did the EU extend its curbs on Syria?", "Who is the Kremlin spokesman?")
    for opened, question in zip(pages, questions, strict=True):
        opened.goto(address)
        ask(opened, question)

    for opened, expected in zip(pages, ("June 2017", "Peskov"), strict=True):
        opened.locator("#chat mark", has_text=expected).first.wait_for(timeout=120_000)
        assert opened.locator("#chat .declined").count() == 0
    context.close()


def test_a_narrow_screen_has_no_sideways_scroll(browser, address: str, tmp_path: Path):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    opened = context.new_page()
    opened.goto(address)
    ask(opened, "Who is the Kremlin spokesman?")
    opened.locator("#chat mark").first.wait_for(timeout=120_000)

    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
