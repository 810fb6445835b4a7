"""Nothing but documents' text is served, whatever is asked for."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import gradio_client
import httpx
import pytest

from tests.support import PATIENCE_S
from tests.support.page_server import served

pytestmark = [pytest.mark.server, pytest.mark.model]

SECRET = "The secret of the vault is 7391."
OUTSIDE = (
    "../outside.txt",
    "docs/../../outside.txt",
    "..\\outside.txt",
    "....//outside.txt",
    "%2e%2e/outside.txt",
    "%252e%252e%252foutside.txt",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "~/outside.txt",
    "C:\\Windows\\win.ini",
    "\\\\127.0.0.1\\share\\x",
    ".hidden.txt",
    "link.txt",
    "fox.txt/../../outside.txt",
    "fox.txt\0.txt",
    "./fox.txt",
    "",
    "' OR 1=1 --",
    "%",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "docs").mkdir()
    (folder / "docs" / "fox.txt").write_text("The silver fox of Quellmoor weighs nine kilograms.", "utf-8")
    for name in ("outside.txt", "docs/.hidden.txt", "docs/unread.zip", "index.txt"):
        (folder / name).write_text(SECRET, "utf-8")
    (folder / "docs" / "link.txt").symlink_to(folder / "outside.txt")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder) as (address, _):
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> gradio_client.Client:
    made = gradio_client.Client(url, verbose=False)
    made.predict("How much does the silver fox weigh?", api_name="/answer")
    return made


@pytest.mark.parametrize("place", ["file=", "gradio_api/file=", "gradio_api/file/", "static/", "assets/", ""])
def test_no_address_serves_a_file_of_the_disk(url: str, folder: Path, place: str):
    named = [
        *OUTSIDE,
        *(str(folder / name) for name in ("outside.txt", "docs/fox.txt", "docs/unread.zip", "index/current")),
        "app.py",
        "pyproject.toml",
        "rag/types.py",
        "index/current",
    ]
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as asking:
        for name in named:
            for path in (quote(name, safe="/%"), quote(name, safe="")):
                reply = asking.get(f"/{place}{path}")
                if reply.status_code == 200:  # the page itself, or a part of it
                    assert place in ("", "static/", "assets/")
                    assert "text/html" in reply.headers["content-type"]
                assert SECRET not in reply.text
                assert "root:" not in reply.text
                assert "nine kilograms" not in reply.text
                assert "store-" not in reply.text


@pytest.mark.parametrize("source", OUTSIDE)
def test_no_source_names_anything_but_a_document(client: gradio_client.Client, source: str):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"has no document|is no text|give a list"):
        client.predict("How much?", sources=[source], api_name="/answer")
    with pytest.raises(gradio_client.exceptions.AppError, match=r"has no document|is no text|give a list"):
        client.predict("How much?", sources=[source], api_name="/search")


def test_an_upload_that_names_a_file_of_the_disk_is_refused(url: str, folder: Path):
    config = httpx.get(f"{url}config", timeout=PATIENCE_S).json()
    uploads = [
        number
        for number, one in enumerate(config["dependencies"])
        if any(target[1] == "upload" for target in one["targets"])
    ]
    assert len(uploads) == 1
    for path in (str(folder / "outside.txt"), "/etc/passwd", "../outside.txt"):
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.txt"}]
        httpx.post(
            f"{url}gradio_api/queue/join",
            json={"data": [data, ""], "fn_index": uploads[0], "session_hash": "hostile"},
            timeout=PATIENCE_S,
        )
        with httpx.stream(
            "GET", f"{url}gradio_api/queue/data?session_hash=hostile", timeout=PATIENCE_S
        ) as stream:
            ended = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
        (done,) = [one for one in ended if one["msg"] == "process_completed"]
        assert done["success"] is False
    assert sorted(path.name for path in (folder / "docs").iterdir()) == [
        ".hidden.txt",
        "fox.txt",
        "link.txt",
        "unread.zip",
    ]
    assert (folder / "outside.txt").read_text("utf-8") == SECRET


def test_what_is_too_large_is_refused(url: str, client: gradio_client.Client):
    with pytest.raises(gradio_client.exceptions.AppError, match="at most 4,000 can be asked"):
        client.predict("x" * 4_001, api_name="/answer")
    reply = httpx.post(
        f"{url}gradio_api/upload",
        content=b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        + b"x" * 100_000_001
        + b"\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=PATIENCE_S,
    )
    assert reply.status_code == 413
