"""What the browser tests share: Debian's Chromium, and the page served over a folder of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, SEEDS

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
PATIENCE_MS = 120_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="keep the pictures of the page for the README here")


@contextlib.contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[str]:
    """The address of the page over the documents in `folder`/docs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--documents", str(folder / "docs"), "--index", str(folder / "index")]
    with (folder / f"log-{port}").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "rag", "serve", *places, *options, "--port", str(port)],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=os.environ | environment,
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


@pytest.fixture(scope="session")
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
    with served(folder) as url:
        yield url


@pytest.fixture
def visit(browser) -> Iterator[Callable]:
    """A new browser profile at an address: what it asked for is in `requested`, what failed in `failed`."""
    contexts = []

    def visiting(url: str, **options):
        context = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | options))
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.failed = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.failed.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(url)
        return page

    yield visiting
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit: Callable, address: str):
    opened = visit(address)
    yield opened
    outside = [url for url in opened.requested if not url.startswith((address, "data:", "blob:"))]
    assert (outside, opened.failed) == ([], [])


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
