"""The documents as tools of an agent, over the Model Context Protocol: on stdin and stdout, or over HTTP."""

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, RootModel

from rag.errors import RagError
from rag.index.excerpts import Excerpt
from rag.interfaces.api.security import EVERYWHERE, LOOPBACK
from rag.interfaces.api.service import Programs
from rag.interfaces.lifecycle import Preparation
from rag.interfaces.rendering import footer, listed
from rag.settings import Settings
from rag.types import Answer, Passage

PATH = "/mcp"

_INSTRUCTIONS = (
    "Ask the user's own folder of documents. Answers are quoted from them word for word, each quote with its "
    "file and characters. If the documents don't answer the question, the answer says so."
)

_Question = Annotated[str, Field(description="One question, in the words of the documents")]
_History = Annotated[list[list[str]] | None, Field(description="Earlier [question, answer], oldest first")]
_Query = Annotated[str, Field(description="A question or a few words")]
_Count = Annotated[int, Field(description="How many passages")]
_Since = Annotated[str | None, Field(description="Only documents dated from 2016, 2016-05 or 2016-05-12 on")]
_Until = Annotated[str | None, Field(description="Only documents dated up to this date, which is included")]
_Sources = Annotated[list[str] | None, Field(description="Only these documents, by name")]
_Source = Annotated[str, Field(description="The document's name, as a passage or a citation has it")]
_Start = Annotated[int, Field(description="The first character")]
_End = Annotated[int | None, Field(description="The character before which to end, at most 20,000 on")]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search."""

    passages: tuple[Passage, ...]


def agent_tools(programs: Programs) -> Any:
    """The MCP server (an `MCPServer`) with the tools ask, search and open_source, not yet served."""
    from mcp.server.mcpserver import MCPServer
    from mcp.types import CallToolResult, TextContent, ToolAnnotations

    server = MCPServer("rag", title="The documents", instructions=_INSTRUCTIONS, log_level="WARNING")
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False)

    def result(text: str, structured: dict[str, Any] | None) -> CallToolResult:
        return CallToolResult(
            content=[TextContent(type="text", text=text)],
            structured_content=structured,
            is_error=structured is None,
        )

    async def ask(
        question: _Question,
        history: _History = None,
        since: _Since = None,
        until: _Until = None,
        sources: _Sources = None,
    ) -> Annotated[CallToolResult, RootModel[Answer]]:
        """Answer a question from the documents, with exact quotes, or say that they don't answer it."""
        try:
            answer = await programs.answer(
                question, history=history, since=since, until=until, sources=sources
            )
        except RagError as error:
            return result(str(error), None)
        return result(answer.text + footer(answer), asdict(answer))

    def search(
        query: _Query,
        k: _Count = 10,
        since: _Since = None,
        until: _Until = None,
        sources: _Sources = None,
    ) -> Annotated[CallToolResult, RootModel[Found]]:
        """Find the passages of the documents that are nearest to a query, best first."""
        try:
            passages = programs.search(query, k=k, since=since, until=until, sources=sources)
        except RagError as error:
            return result(str(error), None)
        return result(listed(passages) or "No passage.", asdict(Found(passages)))

    def open_source(
        source: _Source, start: _Start = 0, end: _End = None
    ) -> Annotated[CallToolResult, RootModel[Excerpt]]:
        """Read the text of a document around a quote or passage, or from its beginning."""
        try:
            excerpt = programs.open_source(source, start=start, end=end)
        except RagError as error:
            return result(str(error), None)
        where = f"{source}, characters {excerpt.start}-{excerpt.end} of {excerpt.characters}"
        return result(f"{where}\n\n{excerpt.text}", asdict(excerpt))

    for tool in (ask, search, open_source):
        server.add_tool(tool, annotations=reading)
    return server


def http_tools(programs: Programs, *, host: str) -> tuple[Any, Callable[[Any], Any]]:
    """The tools over streamable HTTP, for a server that listens on `host`: an ASGI app and its lifespan.

    The lifespan can be entered once.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    server = agent_tools(programs)
    hosts = (*LOOPBACK, host.strip("[]"))
    names = [f"{f'[{name}]' if ':' in name else name}{port}" for name in hosts for port in ("", ":*")]
    security = TransportSecuritySettings(
        # The names of a server that listens on all addresses can't be listed: `Guard` checks them.
        enable_dns_rebinding_protection=host not in EVERYWHERE,
        allowed_hosts=names,
        allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in names],
    )
    app = server.streamable_http_app(streamable_http_path=PATH, transport_security=security)

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    return app.routes[0].app, lifespan


def serve_tools(settings: Settings) -> None:
    """Serve the tools on stdin and stdout until stdin ends; the index follows the documents.

    Nothing but the protocol reaches stdout.
    """
    preparation = Preparation(settings)
    server = agent_tools(Programs(preparation.ready))
    preparation.start()
    threading.Thread(target=preparation.watch, name="watching", daemon=True).start()
    server.run("stdio")
