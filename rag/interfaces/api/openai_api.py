"""An API like OpenAI's, so that chat programs that speak it can ask the documents.

The last user message is the question, the ones before it with their answers are its history. Answers carry
their citations beside the text, and for a program that shows nothing but text, a footer that says where the
quotes stand. What would steer a model that writes freely (temperature, tools and the like) changes nothing.
"""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rag.errors import QuestionError, RagError
from rag.interfaces.api.service import Programs
from rag.interfaces.async_stream import answered, events
from rag.interfaces.rendering import footer, without_footer
from rag.retrieval.conversation import History
from rag.types import Answer, Event

T = TypeVar("T")

MODEL = "rag"
MAX_BODY_BYTES = 1_000_000
MAX_MESSAGES = 1_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for; `words` counts those of its messages."""

    question: str
    history: History
    stream: bool
    with_usage: bool
    words: int


class _Refused(Exception):
    """A request that can't be answered: `param` is what is wrong in it."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


def completion_routes(programs: Programs, *, middleware: Sequence[Middleware] = ()) -> list[Route]:
    """The routes of the API: chat completions, and the list of the one model there is."""

    async def complete(request: Request) -> Response:
        try:
            asked = _asked(await _body(request))
            head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": MODEL}

            def start(left: threading.Event) -> Iterator[Event]:
                return programs.stream(asked.question, stop=left, history=asked.history)

            if asked.stream:
                return await _streamed(head, asked, events(start), request)
            return _json(_whole(head, asked, await _unless_gone(request, answered(start))))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except _Refused as refused:
            return error_response(str(refused), status=refused.status, param=refused.param)
        except RagError as error:
            return error_response(str(error), status=400 if isinstance(error, QuestionError) else 503)

    async def models(_: Request) -> Response:
        return _json({"object": "list", "data": [_MODEL]})

    return [
        Route("/v1/chat/completions", complete, methods=["POST"], middleware=middleware),
        Route("/v1/models", models, methods=["GET"], middleware=middleware),
    ]


_MODEL = {"id": MODEL, "object": "model", "created": 0, "owned_by": "rag"}


def error_response(message: str, *, status: int, param: str | None = None) -> Response:
    """An error as OpenAI's programs understand it."""
    return _json({"error": _error(message, status=status, param=param)}, status=status)


def _error(message: str, *, status: int, param: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": kind, "param": param, "code": None}


def _json(value: object, *, status: int = 200) -> Response:
    return Response(json.dumps(value), status_code=status, media_type="application/json")


async def _body(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _Refused(f"The request has more than {MAX_BODY_BYTES:,} bytes. Shorten it.", status=413)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Refused("The request is no JSON. Send an object with messages.") from error


def _asked(body: Any) -> _Asked:
    if not isinstance(body, dict):
        raise _Refused("The request is no JSON object. Send one with messages.")
    n, stream, options = body.get("n"), body.get("stream"), body.get("stream_options")
    if n is not None and (n != 1 or isinstance(n, bool)):
        raise _Refused(f"n is {n!r:.40}; there is 1 answer to a question.", "n")
    if not isinstance(stream, bool | None):
        raise _Refused(f"stream is {stream!r:.40}; give true or false.", "stream")
    if not isinstance(options, dict | None):
        raise _Refused(f"stream_options is {options!r:.40}; give an object.", "stream_options")
    if body.get("tool_choice") not in (None, "none", "auto"):
        raise _Refused("The documents can't call tools. Leave tool_choice out.", "tool_choice")
    question, history, words = _conversation(body.get("messages"))
    return _Asked(question, history, bool(stream), bool((options or {}).get("include_usage")), words)


def _conversation(messages: Any) -> tuple[str, History, int]:
    """The question, the (question, answer text) pairs before it, and how many words all that has."""
    if not isinstance(messages, list):
        raise _Refused("There are no messages. Send a list of them.", "messages")
    if len(messages) > MAX_MESSAGES:
        raise _Refused(f"There are {len(messages):,} messages; send at most {MAX_MESSAGES:,}.", "messages")
    said = [_said(number, message) for number, message in enumerate(messages)]
    turns = [(role, text) for role, text in said if role in ("user", "assistant")]
    if not turns or turns[-1][0] != "user":
        raise _Refused("The last message is not the user's question. Send one.", "messages")
    history: list[tuple[str, str]] = []
    for role, text in turns[:-1]:
        if role == "user":
            history.append((text, ""))
        elif history:
            asked, before = history[-1]
            history[-1] = asked, f"{before}\n{without_footer(text)}".strip()
    return turns[-1][1], history, sum(len(text.split()) for _, text in turns)


def _said(number: int, message: Any) -> tuple[str, str]:
    """Who says what in a message."""
    name = f"messages[{number}]"
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _Refused(f"{name} is no message. Send an object with role and content.", name)
    content, role = message.get("content"), message["role"]
    if role not in ("user", "assistant"):
        return role, ""
    if content is None and role == "assistant":  # it called a tool
        return role, ""
    if isinstance(content, str):
        return role, content
    if not isinstance(content, list) or not all(map(_is_text, content)):
        raise _Refused(f"{name}.content is no text. Send a text, or a list of text parts.", f"{name}.content")
    return role, "\n".join(part["text"] for part in content)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _usage(asked: _Asked, content: str) -> dict[str, int]:
    """How much was read and written, in words: no tokenizer is asked, and much of it no model ever sees."""
    written = len(content.split())
    return {
        "prompt_tokens": asked.words,
        "completion_tokens": written,
        "total_tokens": asked.words + written,
    }


def _whole(head: dict[str, Any], asked: _Asked, answer: Answer) -> dict[str, Any]:
    content = answer.text + footer(answer)
    message = {"role": "assistant", "content": content, "refusal": None, "citations": _citations(answer)}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(asked, content),
        "answer": asdict(answer),
    }


def _citations(answer: Answer) -> list[dict[str, Any]]:
    return [asdict(citation) for citation in answer.citations]


async def _streamed(
    head: dict[str, Any], asked: _Asked, found: AsyncGenerator[Event, None], request: Request
) -> Response:
    """The answer while it is written; what is wrong with the question is raised before it begins."""
    try:
        first = await _unless_gone(request, anext(found))
    except ClientDisconnect:
        await found.aclose()
        raise
    return _EventStream(_sent(head, asked, first, found), found)


class _EventStream(StreamingResponse):
    """A response that closes what it is made of, however it ends."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[str], source: AsyncGenerator[Event, None]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store"})
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._source.aclose()


async def _sent(
    head: dict[str, Any], asked: _Asked, first: Event, rest: AsyncIterator[Event]
) -> AsyncIterator[str]:
    def chunk(choices: Sequence[dict[str, Any]], **more: Any) -> str:
        sent = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        if asked.with_usage:
            sent.setdefault("usage", None)
        return f"data: {json.dumps(sent)}\n\n"

    def delta(finish_reason: str | None = None, **said: Any) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": said, "logprobs": None, "finish_reason": finish_reason}]

    yield chunk(delta(role="assistant", content=""))
    try:
        event: Event | None = first
        while event is not None:
            if isinstance(event, str):
                yield chunk(delta(content=event))
            elif isinstance(event, Answer):
                yield chunk(delta(content=footer(event)))
                yield chunk(delta("stop", citations=_citations(event)), answer=asdict(event))
                if asked.with_usage:
                    yield chunk([], usage=_usage(asked, event.text + footer(event)))
            event = await anext(rest, None)
    except RagError as error:
        yield f"data: {json.dumps({'error': _error(str(error), status=503)})}\n\n"
        return
    yield "data: [DONE]\n\n"


async def _unless_gone(request: Request, awaited: Awaitable[T]) -> T:
    """What is awaited, which is given up when who asked is gone: `ClientDisconnect`."""

    async def result() -> T:
        return await awaited

    answering, gone = asyncio.ensure_future(result()), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return answering.result()
    finally:
        answering.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
