"""Downloads from a stand-in for a model hub, in processes of their own: the hub's address is read once."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest

from rag.errors import ModelError
from rag.models import hub as model_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b"{}", "m-q4.gguf": b"four", "m-q8.gguf": b"eight"}

DOWNLOAD = """
import sys
from rag.models.hub import download, downloaded
from rag.errors import ModelError
try:
    folder = download(sys.argv[1], sys.argv[2])
    print(sorted((path.name, path.read_bytes()) for path in folder.iterdir()), downloaded())
except ModelError as error:
    print("ModelError", error)
"""


class Hub(http.server.ThreadingHTTPServer):
    """Has the one repository owner/m; records what is asked of it; refuses the files in `refused`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.refused: set[str] = set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/api/models/owner/m/revision/"):
            siblings = [{"rfilename": name} for name in FILES]
            self.reply(200, json.dumps({"id": "owner/m", "sha": COMMIT, "siblings": siblings}).encode())
        elif self.path.startswith(f"/api/models/owner/m/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": name}
                for name, content in FILES.items()
            ]
            self.reply(200, json.dumps(tree).encode())
        elif self.path.startswith("/owner/m/resolve/") and name in FILES and name not in self.server.refused:
            self.reply(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})
        else:
            code = "EntryNotFound" if name in FILES else "RepoNotFound"
            self.reply(404, b"", {"X-Error-Code": code})

    do_HEAD = do_GET

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.shutdown()
    server.server_close()


def download(address: str, home: Path, repository: str = "owner/m", pattern: str = "*q4*") -> str:
    """What a process that downloads prints; its stderr must hold no traceback."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    for name in [name for name in kept if name.startswith(("HF_", "HUGGING"))]:
        del kept[name]
    ran = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, repository, pattern],
        env={**kept, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout.strip()


def test_a_model_is_downloaded_once_then_used_without_the_network(hub, tmp_path):
    expected = "[('m-q4.gguf', b'four')] ['hf:owner/m']"

    assert download(hub.address, tmp_path) == expected
    assert [line for line in hub.asked if line.startswith("GET /owner")] == [
        f"GET /owner/m/resolve/{COMMIT}/m-q4.gguf"
    ]

    hub.asked.clear()
    assert download(hub.address, tmp_path) == expected
    assert hub.asked == []


def test_another_pattern_of_the_same_repository_is_downloaded_too(hub, tmp_path):
    download(hub.address, tmp_path)

    assert download(hub.address, tmp_path, pattern="*q8*") == (
        "[('m-q4.gguf', b'four'), ('m-q8.gguf', b'eight')] ['hf:owner/m']"
    )


def test_an_interrupted_download_is_finished_by_the_next(hub, tmp_path):
    hub.refused = {"m-q8.gguf"}
    assert download(hub.address, tmp_path, pattern="*").startswith("ModelError Can't download owner/m (*): ")

    hub.refused = set()
    assert download(hub.address, tmp_path, pattern="*") == (
        "[('config.json', b'{}'), ('m-q4.gguf', b'four'), ('m-q8.gguf', b'eight')] ['hf:owner/m']"
    )


def test_a_repository_that_the_hub_has_not_is_a_model_error(hub, tmp_path):
    said = download(hub.address, tmp_path, repository="owner/none")

    assert said.startswith("ModelError Can't download owner/none (*q4*): ")
    assert said.endswith("Check the name and the network, or use the embedded model")


def test_without_a_network_there_is_a_model_error(hub, tmp_path):
    address = hub.address
    hub.shutdown()
    hub.server_close()

    said = download(address, tmp_path)

    assert said.startswith("ModelError Can't download owner/m (*q4*): ")
    assert said.endswith("or use the embedded model")


def test_a_name_that_no_hub_could_have_is_a_model_error(hub, tmp_path):
    said = download(hub.address, tmp_path, repository="owner/..m")

    assert said.startswith("ModelError owner/..m is not a repository name (")
    assert hub.asked == []


def test_an_error_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def fail(*_: object, local_files_only: bool = False, **__: object) -> str:
        raise (
            huggingface_hub.errors.LocalEntryNotFoundError("") if local_files_only else httpx2.ReadTimeout("")
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)

    with pytest.raises(ModelError) as raised:
        model_hub.download("owner/m", "*")
    assert str(raised.value).startswith("Can't download owner/m (*): ReadTimeout. Check the name")
