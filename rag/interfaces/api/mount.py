"""The interfaces for programs, as additions to the page's own server."""

from typing import Any

from starlette.middleware import Middleware
from starlette.routing import Route

from rag.interfaces.api.mcp_server import PATH, http_tools
from rag.interfaces.api.openai_api import completion_routes
from rag.interfaces.api.security import Guard, Lock, Login
from rag.interfaces.api.service import Programs


def additions(programs: Programs, *, host: str, login: Login | None, uploads: bool = True) -> dict[str, Any]:
    """Keyword arguments for the FastAPI app of a server on `host`: `/v1`, `/mcp` and the `Guard` of all.

    `/v1` and `/mcp` require the login, if there is one; without `uploads` Gradio accepts no files. The
    additions can serve one app, once.
    """
    tools, lifespan = http_tools(programs, host=host)
    locked = [Middleware(Lock, login=login)] if login is not None else []
    return {
        "routes": [*completion_routes(programs, middleware=locked), Route(PATH, tools, middleware=locked)],
        "middleware": [Middleware(Guard, host=host, uploads=uploads)],
        "lifespan": lifespan,
    }
