"""Who may ask: requests as browsers and programs send them, to the real server."""

import base64

import httpx
import openai
import pytest

from rag.answering.engine import Engine
from rag.interfaces.api.security import Login, is_this_server
from tests.support import PATIENCE_S
from tests.support.api_server import served

LOGIN = Login("reader", "pass wörd")


@pytest.fixture(scope="module")
def url(seed_engine: Engine):
    with served(seed_engine) as address:
        yield address


@pytest.fixture(scope="module")
def locked(seed_engine: Engine):
    with served(seed_engine, login=LOGIN) as address:
        yield address


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7860", "[::1]:80", "LOCALHOST"])
def test_a_request_that_names_this_machine_is_let_through(url: str, host):
    assert httpx.get(f"{url}/v1/models", headers={"Host": host}, timeout=PATIENCE_S).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "192.168.0.7", "[::1", ""])
def test_a_request_under_another_name_is_refused(url: str, host):
    reply = httpx.get(f"{url}/v1/models", headers={"Host": host}, timeout=PATIENCE_S)

    assert reply.status_code == 421
    assert reply.json()["error"]["message"] == f"{host!r} is not this server: use 127.0.0.1."


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/mcp", "/anything"])
def test_a_page_of_another_site_can_send_nothing(url: str, headers, path):
    reply = httpx.post(f"{url}{path}", headers=headers, json={}, timeout=PATIENCE_S)

    assert reply.status_code == 403
    assert reply.json()["error"]["message"] == "This server refuses requests from pages of other sites."


def test_the_servers_own_page_can(url: str):
    headers = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    reply = httpx.post(f"{url}/v1/chat/completions", headers=headers, json={}, timeout=PATIENCE_S)

    assert reply.json()["error"]["message"].startswith("messages is missing. Send a list of")


def test_a_link_on_another_site_can_be_followed(url: str):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert httpx.get(f"{url}/v1/models", headers=headers, timeout=PATIENCE_S).status_code == 200


@pytest.mark.parametrize(
    ("name", "host", "is_this"),
    [
        ("http://192.168.0.7:7860", "192.168.0.7", True),
        ("http://192.168.0.8:7860", "192.168.0.7", False),
        ("//office.local", "Office.local", True),
        ("//192.168.0.7:7860", "0.0.0.0", True),
        ("//[fe80::1]:7860", "::", True),
        ("//evil.example", "0.0.0.0", False),
        ("//[", "0.0.0.0", False),
    ],
)
def test_the_host_that_is_listened_on_names_the_server(name, host, is_this):
    assert is_this_server(name, host) is is_this


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/mcp"])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer wrong",
        "Basic %%%",
        basic("other", "pass wörd"),
        basic("reader", "wrong"),
        "Digest pass",
    ],
)
def test_without_the_password_nothing_is_told(locked: str, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    method = "GET" if path == "/v1/models" else "POST"
    reply = httpx.request(method, f"{locked}{path}", headers=headers, timeout=PATIENCE_S)

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Basic realm="rag", charset="UTF-8"'
    assert reply.json()["error"]["message"] == "The password is missing or wrong. Send it as the API key."


def test_the_password_opens_as_a_key_or_with_the_user(locked: str):
    with (
        pytest.raises(openai.AuthenticationError),
        openai.OpenAI(base_url=f"{locked}/v1", api_key="wrong", max_retries=0) as client,
    ):
        client.models.list()
    for authorization in ("Bearer pass wörd".encode(), basic("reader", "pass wörd").encode()):
        reply = httpx.get(f"{locked}/v1/models", headers={"Authorization": authorization}, timeout=PATIENCE_S)
        assert [model["id"] for model in reply.json()["data"]] == ["rag"]
