"""Ask the installed package from an empty folder, as `.ci/wheel` does in a fresh environment.

The command line answers, the quote stands where it says, and the page and the API are served.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import packages_distributions, version
from pathlib import Path

import rag

COMMAND = str(Path(sys.executable).with_name("rag"))
QUESTION = "Who is the Kremlin spokesman?"
PATIENCE_S = 600


def run(*arguments: str) -> str:
    """What the command line prints."""
    return subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def ask(places: list[str]) -> None:
    """One question on the command line."""
    built = run("build", *places)
    assert built.startswith("2 added, "), built
    answer = json.loads(run("ask", "--json", QUESTION, *places))
    (citation, *_) = answer["citations"]
    document = (Path(places[1]) / citation["source"]).read_text("utf-8")
    assert "Peskov" in citation["quote"], answer
    assert document[citation["start"] : citation["end"]] == citation["quote"], answer


def serve(places: list[str]) -> None:
    """The page, and one question over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    asked = json.dumps({"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}).encode()
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", data=asked, headers={"Content-Type": "application/json"}
    )
    with subprocess.Popen([COMMAND, "serve", *places, "--port", str(port)]) as server:
        try:
            assert "Ask the documents" in _page(url, server)
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                reply = json.load(response)
            assert "Peskov" in reply["choices"][0]["message"]["content"], reply
        finally:
            server.terminate()


def _page(url: str, server: "subprocess.Popen[bytes]") -> str:
    """The page, as soon as it is served."""
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return str(response.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"{url} isn't served")


def main() -> None:
    """Ask what was installed, which isn't the checkout."""
    assert Path(rag.__file__).is_relative_to(sys.prefix), rag.__file__
    (distribution,) = set(packages_distributions()["rag"])
    assert version(distribution) in run("--version")
    places = ["--documents", sys.argv[1], "--index", sys.argv[2]]
    ask(places)
    serve(places)
    sys.stdout.write(f"{distribution} {version(distribution)}: the wheel answers.\n")


if __name__ == "__main__":
    main()
