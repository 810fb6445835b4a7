"""Who may ask the server: no page of another site and, if there is a login, nobody without it.

A page that somebody opens in a browser can send requests to this machine and, under a host name that it made
point here (DNS rebinding), could read the replies too. So a request has to name this server as its host, and
one that may change something must not come from another site.
"""

import base64
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from rag.interfaces.api.openai_api import error_response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")

_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Login:
    """The user and the password that a client has to send."""

    user: str
    password: str


class Guard:
    """Refuses requests from other sites' pages; plain ASGI, so that streams pass as they are."""

    def __init__(self, app: ASGIApp, *, host: str, uploads: bool = True) -> None:
        """Guard `app`, which listens on `host`; without `uploads` those are refused too."""
        self._app = app
        self._host = host
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_this_server(f"//{host}", self._host):
            return error_response(f"{host[:100]!r} is not this server: use 127.0.0.1.", status=421)
        origin = headers.get("origin")
        other_origin = origin is not None and origin.partition("://")[2].lower() != host.lower()
        other_site = other_origin or headers.get("sec-fetch-site") == "cross-site"
        if other_site and scope.get("method") not in _SAFE:
            return error_response("This server refuses requests from pages of other sites.", status=403)
        if not self._uploads and scope["path"].rstrip("/").endswith("/upload"):
            return error_response("This server is read-only: files can't be uploaded.", status=403)
        return None


class Lock:
    """Requires the login: the password as `Authorization: Bearer`, or user and password as Basic."""

    def __init__(self, app: ASGIApp, *, login: Login) -> None:
        """Protect `app` with this login."""
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 401."""
        if self._may(Headers(scope=scope).get("authorization", "")):
            await self._app(scope, receive, send)
            return
        asking = error_response("The password is missing or wrong. Send it as the API key.", status=401)
        asking.headers["WWW-Authenticate"] = 'Basic realm="rag", charset="UTF-8"'
        await asking(scope, receive, send)

    def _may(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        given = given.strip()
        if kind.lower() == "bearer":
            return _same(given.encode("latin-1"), self._login.password)
        if kind.lower() == "basic":
            try:
                pair = base64.b64decode(given, validate=True)
            except ValueError:
                return False
            return _same(pair, f"{self._login.user}:{self._login.password}")
        return False


def _same(given: bytes, expected: str) -> bool:
    return secrets.compare_digest(given, expected.encode())


def is_this_server(url: str, host: str) -> bool:
    """Whether the URL names, at any port, the server that listens on `host`.

    One that listens on all addresses is named by any address, which no page can make point here, and by the
    name of its machine. (Starlette's TrustedHostMiddleware compares with a list of names, and its refusal is
    plain text.)
    """
    try:
        name = urlsplit(url).hostname or ""
        if name in (*LOOPBACK, host.strip("[]").lower()):
            return True
        return host in EVERYWHERE and (
            name == socket.gethostname().lower() or bool(ipaddress.ip_address(name))
        )
    except ValueError:  # neither a URL nor an address
        return False
