"""An API like OpenAI's, so that chat programs that speak it can ask the documents.

The last user message is the question; earlier ones with their answers are its history. Answers carry their
citations beside the text and, for programs that show only text, a footer with the sources of the quotes.
Options that steer a model which writes freely (temperature, tools and the like) are ignored.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StrictBool, StrictInt, ValidationError, ValidationInfo, field_validator
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rag.errors import QuestionError, RagError
from rag.interfaces.api.service import Programs
from rag.interfaces.async_stream import events
from rag.interfaces.rendering import footer, without_footer
from rag.retrieval.conversation import History
from rag.types import Answer, Event

T = TypeVar("T")

MODEL = "rag"
MAX_BODY_BYTES = 1_000_000
MAX_MESSAGES = 1_000
_TURNS = ("user", "assistant")
"""The roles that are listened to."""

_SEND = {
    "messages": f"Send a list of at most {MAX_MESSAGES:,} messages, the user's question last.",
    "content": "Send a text, or a list of text parts.",
    "n": "Send 1, or leave it out: a question has one answer.",
    "stream": "Send true or false.",
    "stream_options": "Send an object.",
    "tool_choice": "Leave it out: the documents can't call tools.",
}
"""What to send as a parameter that can't be used."""


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: str
    content: str | list[_TextPart] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _of_a_turn(cls, content: Any, message: ValidationInfo) -> Any:
        return content if message.data.get("role") in _TURNS else None

    @property
    def text(self) -> str:
        """What is said; "" by an assistant that calls a tool."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or ())


class _Asked(BaseModel):
    """What a request asks for; `messages` has those of the user and of the assistant."""

    messages: Annotated[list[_Message], Field(max_length=MAX_MESSAGES)]
    n: Annotated[StrictInt, Field(ge=1, le=1)] | None = None
    stream: StrictBool | None = None
    stream_options: dict[str, Any] | None = None
    tool_choice: Literal["none", "auto"] | None = None

    @field_validator("messages")
    @classmethod
    def _turns(cls, messages: list[_Message]) -> list[_Message]:
        turns = [message for message in messages if message.role in _TURNS]
        if not turns or turns[-1].role != "user":
            raise ValueError("the last turn is not a question")
        return turns

    def history(self) -> History:
        """The (question, answer text) pairs before the question, oldest first."""
        history: list[tuple[str, str]] = []
        for message in self.messages[:-1]:
            if message.role == "user":
                history.append((message.text, ""))
            elif history:
                question, before = history[-1]
                history[-1] = question, f"{before}\n{without_footer(message.text)}".strip()
        return history

    def usage(self, content: str) -> dict[str, int]:
        """How much was read and written, in words: not all of it goes through a model that has tokens."""
        read = sum(len(message.text.split()) for message in self.messages)
        written = len(content.split())
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


class _Refused(Exception):
    """A request that can't be answered; `param` names the parameter that is wrong in it."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


def completion_routes(programs: Programs, *, middleware: Sequence[Middleware] = ()) -> list[Route]:
    """The routes of the API: chat completions, and the list of the one model there is."""

    async def complete(request: Request) -> Response:
        try:
            asked = await _asked(request)
            head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": MODEL}
            question, history = asked.messages[-1].text, asked.history()
            if asked.stream:
                found = events(lambda left: programs.stream(question, stop=left, history=history))
                # What is wrong with the question is raised before the reply begins.
                first = await _unless_gone(request, anext(found))
                return _EventStream(_sent(head, asked, first, found), found)
            answer = await _unless_gone(request, programs.answer(question, history=history))
            return _json(_whole(head, asked, answer))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except _Refused as refused:
            return error_response(str(refused), status=refused.status, param=refused.param)
        except RagError as error:
            return error_response(str(error), status=400 if isinstance(error, QuestionError) else 503)

    async def models(_: Request) -> Response:
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "rag"}
        return _json({"object": "list", "data": [model]})

    return [
        Route("/v1/chat/completions", complete, methods=["POST"], middleware=middleware),
        Route("/v1/models", models, methods=["GET"], middleware=middleware),
    ]


def error_response(message: str, *, status: int, param: str | None = None) -> Response:
    """An error as OpenAI's programs understand it."""
    return _json({"error": _error(message, status=status, param=param)}, status=status)


def _error(message: str, *, status: int, param: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": message, "type": kind, "param": param, "code": None}


def _json(value: object, *, status: int = 200) -> Response:
    return Response(json.dumps(value), status_code=status, media_type="application/json")


async def _asked(request: Request) -> _Asked:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _Refused(f"The request has more than {MAX_BODY_BYTES:,} bytes. Shorten it.", status=413)
    try:
        return _Asked.model_validate(json.loads(body))
    except ValidationError as error:
        raise _refused(error) from error
    except (ValueError, RecursionError) as error:
        raise _Refused("The request is not JSON. Send an object with messages.") from error


def _refused(error: ValidationError) -> _Refused:
    """The first thing that is wrong in a request, and what to send."""
    first = error.errors()[0]
    place, value = first["loc"][:3], first["input"]  # deeper is only which form of a content it isn't
    param = "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in place).lstrip(".")
    given = f"a list of {len(value):,}" if isinstance(value, list) else f"{json.dumps(value):.40}"
    is_given = "is missing" if first["type"] == "missing" else f"is {given}"
    otherwise = f"Send an object with {'role and content' if place else 'messages'}."
    send = _SEND.get(str(place[-1]), otherwise) if place else otherwise
    return _Refused(f"{param or 'The request'} {is_given}. {send}", param or None)


def _whole(head: dict[str, Any], asked: _Asked, answer: Answer) -> dict[str, Any]:
    content, said = answer.text + footer(answer), asdict(answer)
    message = {"role": "assistant", "content": content, "refusal": None, "citations": said["citations"]}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": asked.usage(content),
        "answer": said,
    }


class _EventStream(StreamingResponse):
    """A response that closes its source, however it ends."""

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
    with_usage = bool((asked.stream_options or {}).get("include_usage"))

    def chunk(choices: Sequence[dict[str, Any]], **more: Any) -> str:
        sent = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        if with_usage:
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
                said = asdict(event)
                yield chunk(delta("stop", citations=said["citations"]), answer=said)
                if with_usage:
                    yield chunk([], usage=asked.usage(event.text + footer(event)))
            event = await anext(rest, None)
    except RagError as error:
        yield f"data: {json.dumps({'error': _error(str(error), status=503)})}\n\n"
        return
    yield "data: [DONE]\n\n"


async def _unless_gone(request: Request, awaited: Awaitable[T]) -> T:
    """What is awaited; cancelled, with `ClientDisconnect`, when the client leaves."""
    answering, gone = asyncio.ensure_future(awaited), asyncio.ensure_future(_gone(request))
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
