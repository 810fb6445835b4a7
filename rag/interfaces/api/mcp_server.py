"""The documents as tools of an agent, over the Model Context Protocol: on stdin and stdout, or over HTTP."""

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from rag.errors import RagError
from rag.interfaces.api.security import EVERYWHERE, LOOPBACK
from rag.interfaces.api.service import Programs
from rag.interfaces.async_stream import answered
from rag.interfaces.lifecycle import Preparation
from rag.interfaces.rendering import footer, listed
from rag.settings import Settings
from rag.types import Answer, Passage

PATH = "/mcp"

_INSTRUCTIONS = (
    "Ask the user's own folder of documents. Answers are quoted from them word for word, with the file and "
    "the characters of each quote; where the documents don't answer, that is what is said."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gives."""

    passages: tuple[Passage, ...]


def agent_tools(programs: Programs) -> Any:
    """The MCP server (an `MCPServer`) with the tools ask, search and open_source, not yet served."""
    from mcp.server.mcpserver import MCPServer
    from mcp.types import CallToolResult, TextContent, ToolAnnotations
    from pydantic import Field, RootModel

    from rag.index.excerpts import Excerpt

    since_text = "Only documents dated from this day, month or year on: 2016-05-12, 2016-05 or 2016."
    until_text = "Only documents dated up to this day, month or year, which is included."

    def told(text: str, structured: dict[str, Any]) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)

    def refused(error: RagError) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)

    async def ask(
        question: Annotated[str, Field(description="One question, in the words of the documents.")],
        history: Annotated[
            list[list[str]] | None,
            Field(description="Earlier [question, answer text] pairs that it goes on from, oldest first."),
        ] = None,
        since: Annotated[str | None, Field(description=since_text)] = None,
        until: Annotated[str | None, Field(description=until_text)] = None,
        sources: Annotated[list[str] | None, Field(description="Only these documents, by name.")] = None,
    ) -> Annotated[CallToolResult, RootModel[Answer]]:
        try:
            answer = await answered(
                lambda left: programs.stream(
                    question, stop=left, history=history or (), since=since, until=until, sources=sources
                )
            )
        except RagError as error:
            return refused(error)
        return told(answer.text + footer(answer), asdict(answer))

    def search(
        query: Annotated[str, Field(description="A question or a few words.")],
        k: Annotated[int, Field(description="How many passages.")] = 10,
        since: Annotated[str | None, Field(description=since_text)] = None,
        until: Annotated[str | None, Field(description=until_text)] = None,
        sources: Annotated[list[str] | None, Field(description="Only these documents, by name.")] = None,
    ) -> Annotated[CallToolResult, RootModel[Found]]:
        try:
            passages = programs.search(query, k=k, since=since, until=until, sources=sources)
        except RagError as error:
            return refused(error)
        return told(listed(passages) or "No passage.", asdict(Found(passages)))

    def open_source(
        source: Annotated[str, Field(description="The document's name, as a passage or a citation has it.")],
        start: Annotated[int, Field(description="The first character.")] = 0,
        end: Annotated[
            int | None,
            Field(description="The character before which to end; 20,000 characters at most are given."),
        ] = None,
    ) -> Annotated[CallToolResult, RootModel[Excerpt]]:
        try:
            excerpt = programs.open_source(source, start=start, end=end)
        except RagError as error:
            return refused(error)
        where = f"{source}, characters {excerpt.start}-{excerpt.end} of {excerpt.characters}"
        return told(f"{where}\n\n{excerpt.text}", asdict(excerpt))

    server = MCPServer("rag", title="The documents", instructions=_INSTRUCTIONS, log_level="WARNING")
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    described: tuple[tuple[Callable[..., Any], str], ...] = (
        (ask, "Answer a question from the documents, with exact quotes, or say that they don't answer it."),
        (search, "Find the passages of the documents that are nearest to a query, best first."),
        (open_source, "Read the text of a document around a quote or passage, or from its beginning."),
    )
    for tool, description in described:
        server.add_tool(tool, description=description, annotations=reading)
    return server


def http_tools(programs: Programs, *, host: str) -> tuple[Any, Callable[[Any], Any]]:
    """The tools over streamable HTTP, for a server that listens on `host`: an ASGI app, and its lifespan.

    The lifespan can be entered once.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    server = agent_tools(programs)
    listened = (*LOOPBACK, host.strip("[]"))
    names = [f"{f'[{name}]' if ':' in name else name}{port}" for name in listened for port in ("", ":*")]
    security = TransportSecuritySettings(
        # A server that listens everywhere has names that can't be listed here; its guard knows them.
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
    """Serve the tools on stdin and stdout until stdin ends, while the index is kept in step.

    Nothing but the protocol reaches stdout.
    """
    preparation = Preparation(settings)
    server = agent_tools(Programs(preparation.ready))
    preparation.start()
    threading.Thread(target=preparation.watch, name="watching", daemon=True).start()
    server.run("stdio")
