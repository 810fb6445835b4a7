"""Message + grammar → the text of a model on other machines, through chat completions (OpenAI's protocol).

Several servers have the same model: each takes its share of the questions, and when one fails in
mid-answer another takes over. Each server is tested once for whether it obeys a grammar, in the dialects of
llama.cpp's servers and of vLLM: it has to write a random word that only a grammar would make it write.
"""

import contextlib
import itertools
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import httpx
from httpx_sse import EventSource

from rag.errors import ModelError
from rag.llm.base import CONTEXT_TOKENS
from rag.llm.grammar import literal
from rag.uris import ServedModel

CONNECT_S = 5.0
READ_S = 60.0
"""How long a server may be silent, also while it reads a prompt, before the next one is asked."""

AT_ONCE = 8
"""How many questions each server is asked at the same time; further ones wait in the visible queue."""

_AWAY_S = 15.0
"""How long a server that failed is asked last."""

_BYTES_A_TOKEN = 4
_Dialect: TypeAlias = Callable[[str], dict[str, Any]]
_DIALECTS: tuple[_Dialect, ...] = (
    lambda grammar: {"grammar": grammar},  # llama.cpp
    lambda grammar: {"structured_outputs": {"grammar": grammar}},  # vLLM from 0.12 on
    lambda grammar: {"guided_grammar": grammar},  # vLLM before
)


class _ServerError(Exception):
    """Why a server gave no answer; another one may."""


class _RefusedError(_ServerError):
    """The server doesn't accept the request as it is."""


class RemoteModel:
    """A model behind servers (see `rag.llm.base.LanguageModel`). Several threads may use it at once.

    `takes_grammar` says that its servers obey a grammar. If one does, those that don't are not asked.
    """

    context_tokens = CONTEXT_TOKENS
    parameters = 10**12
    """Unknown, and taken to be large: whoever runs servers has a model that can write (or `--mode quote`)."""

    def __init__(self, served: ServedModel) -> None:
        """Test each server for grammars; `ModelError` if none answers or all refuse."""
        self.name = served.name
        headers = {"Authorization": f"Bearer {served.key}"} if served.key else {}
        try:
            # No limit on connections: waiting for a free one would look like a slow server.
            self._client = httpx.Client(
                headers=headers, timeout=httpx.Timeout(READ_S, connect=CONNECT_S), limits=httpx.Limits()
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ModelError(
                "The proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY can't be used "
                f"({_plain(str(error)).rstrip('.')}). Set another one, or none."
            ) from error
        self._servers = [_Server(self._client, url, served.name) for url in served.urls]
        self._turn = itertools.count()
        failed = []
        for server in self._servers:
            try:
                server.test()
            except _ServerError as error:
                failed.append(f"{server.url} {error}")
        if len(failed) == len(self._servers):
            self.close()
            raise ModelError(
                f"{'; '.join(failed)}. Start a server, or name another one: --model openai:NAME@URL"
            )
        self.takes_grammar = any(server.dialect is not None for server in self._servers)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def count_prompt(self, message: str, *, opening: str) -> int:
        """An estimate, a token for four bytes: the servers' tokenizers aren't at hand."""
        return self.count_tokens(message + opening)

    def count_tokens(self, text: str) -> int:
        """See `count_prompt`."""
        return -(-len(text.encode()) // _BYTES_A_TOKEN)

    def can_write(self, text: str) -> bool:
        """Always: models of this size have tokens for all bytes."""
        return True

    def generate(
        self,
        message: str,
        *,
        opening: str,
        grammar: str,
        bias: Mapping[str, float],
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """See `LanguageModel.generate`; line by line, and without the bias, which needs the model's tokens.

        When a server fails, the next one writes the reply from its start, and the lines that were already
        passed on are skipped: mostly they are the same. `ModelError` when all have failed.
        """
        budget = max_tokens + len(opening.encode())
        passed_on = 0
        failed: list[str] = []
        for server in self._in_turn():
            if cancelled():
                return
            try:
                more = server.grammar(_after(opening, grammar)) if self.takes_grammar else {}
                pieces = server.completion(message, more, budget, cancelled)
                # A chat can't begin in mid-reply, so the grammar makes the server write the opening again.
                lines = _lines(_without(pieces, len(opening) if self.takes_grammar else 0))
                for line in itertools.islice(lines, passed_on, None):
                    yield line
                    passed_on += 1
                return
            except _ServerError as error:
                if cancelled():
                    return
                failed.append(f"{server.url} {error}")
                server.away_until = time.monotonic() + _AWAY_S
        raise ModelError(f"{'; '.join(failed)}. Ask again, or name another one: --model openai:NAME@URL")

    def _in_turn(self) -> Iterator["_Server"]:
        """The servers, beginning with another one each time; those that failed a moment ago come last."""
        now = time.monotonic()
        away = [server for server in self._servers if server.away_until > now]
        there = [server for server in self._servers if server not in away]
        first = next(self._turn) % max(len(there), 1)
        yield from [*there[first:], *there[:first], *away]


class _Server:
    """One server of a model. What it raises, as `_ServerError`, goes on after its `url` in a sentence."""

    def __init__(self, client: httpx.Client, url: str, model: str) -> None:
        self.url = url
        self.away_until = 0.0
        self.dialect: _Dialect | None = None
        self._client = client
        self._model = model
        self._is_tested = False

    def test(self) -> None:
        """Find the dialect in which it obeys a grammar, if there is one."""
        for dialect in _DIALECTS:
            word = secrets.token_hex(4)
            more = dialect(f"root ::= {literal(word)}")
            with contextlib.suppress(_RefusedError):
                if "".join(self.completion("Say hello.", more, 16, lambda: False)).strip() == word:
                    self.dialect = dialect
                    break
        self._is_tested = True

    def grammar(self, grammar: str) -> dict[str, Any]:
        """What to send so that it obeys this grammar."""
        if not self._is_tested:
            self.test()
        if self.dialect is None:
            raise _ServerError("doesn't accept a grammar")
        return self.dialect(grammar)

    def completion(
        self, message: str, more: Mapping[str, Any], max_tokens: int, cancelled: Callable[[], bool]
    ) -> Iterator[str]:
        """The pieces of the reply to this message, likeliest token first; `more` goes into the request."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": message}],
            "temperature": 0,
            "max_tokens": max_tokens,
            "stream": True,
            **more,
        }
        is_whole = False
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    raise self._refused(response)
                for data in _events(response, cancelled):
                    if data == "[DONE]":
                        return
                    piece, is_last = _piece(data)
                    is_whole = is_whole or is_last
                    if piece:
                        yield piece
        except (httpx.InvalidURL, UnicodeError) as error:
            raise _ServerError(f"is not a valid address ({_plain(str(error))})") from error
        except httpx.TimeoutException as error:
            waited = CONNECT_S if isinstance(error, httpx.ConnectTimeout) else READ_S
            raise _ServerError(f"doesn't answer (waited {waited:g} s)") from error
        except httpx.HTTPError as error:
            raise _ServerError(f"can't be reached ({_plain(str(error)) or type(error).__name__})") from error
        if not is_whole and not cancelled():
            raise _ServerError("broke off in mid-answer")

    def _refused(self, response: httpx.Response) -> _ServerError:
        """What a status other than 200 means."""
        status = response.status_code
        if status in (401, 403):
            has_key = "Authorization" in response.request.headers
            return _ServerError(
                "rejected the key in RAG_MODEL_KEY" if has_key else "requires an API key: set RAG_MODEL_KEY"
            )
        if status == 404:
            return _ServerError(
                f"has no model {self._model}, or isn't the base address of an OpenAI-compatible API"
            )
        kind = _RefusedError if status in (400, 422) else _ServerError
        return kind(f"answered with status {status} ({_plain(response.text)})")


def _events(response: httpx.Response, cancelled: Callable[[], bool]) -> Iterator[str]:
    """The data of each server-sent event, until it is cancelled; a time-out after `READ_S` without one."""
    heard = time.monotonic()

    def watched() -> Iterator[bytes]:
        # httpx-sse passes over comments, which keep a connection alive, so time is watched under it.
        for part in response.iter_bytes():
            yield part
            if cancelled():
                return
            if time.monotonic() - heard > READ_S:
                raise httpx.ReadTimeout("only comments")

    # httpx-sse insists on the type that some servers get wrong. The encoding is that of the standard.
    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=watched())
    for event in EventSource(stream).iter_sse():
        if event.data:
            heard = time.monotonic()
            yield event.data.strip()


def _piece(data: str) -> tuple[str, bool]:
    """The text of a part of a streamed reply, and whether the reply ends with it."""
    try:
        part = json.loads(data)
        if error := part.get("error"):
            raise _ServerError(f"stopped ({_plain(str(error))})")
        choice = (part.get("choices") or [{}])[0]
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise TypeError("text is a string")
        return text, choice.get("finish_reason") is not None
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise _ServerError("sent something that is not a chat completion") from error


def _plain(text: str) -> str:
    """What a server said, cut, on one line of a terminal."""
    return "".join(filter(str.isprintable, " ".join(text.split())))[:200]


def _after(opening: str, grammar: str) -> str:
    """The grammar of the opening followed by what this grammar allows."""
    if not opening:
        return grammar
    root = re.compile(r"^root ::= (.*)$", re.M)
    return root.sub(lambda rule: f"root ::= {literal(opening)} ({rule[1]})", grammar, count=1)


def _without(pieces: Iterator[str], skipped: int) -> Iterator[str]:
    """The pieces without the first `skipped` characters of their text."""
    for piece in pieces:
        yield piece[skipped:]
        skipped = max(skipped - len(piece), 0)


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """The text in whole lines, each with its end, and what is left after the last."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest:
        yield rest
