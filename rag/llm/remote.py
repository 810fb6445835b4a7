"""Message + grammar → the text of a model on other machines, through chat completions (OpenAI's protocol).

Several servers have the same model: one that fails in mid-answer is followed by another, and each takes its
share of the questions. A server is asked once whether it takes a grammar, in the words of llama.cpp's servers
and of vLLM: it has to write what nothing but a grammar would make it write.
"""

import contextlib
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from rag.errors import ModelError
from rag.llm.base import CONTEXT_TOKENS
from rag.llm.grammar import literal
from rag.uris import ServedModel

CONNECT_S = 5.0
READ_S = 60.0
"""How long a server may be silent before the next one is asked, while it reads a prompt too."""

AT_ONCE = 8
"""So many questions are asked at once for each server; the others wait, and are told so."""

_AWAY_S = 15.0
"""A server that failed isn't asked for so long, while there is another one."""

_BYTES_A_TOKEN = 4
_DIALECTS: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda grammar: {"grammar": grammar},  # llama.cpp
    lambda grammar: {"structured_outputs": {"grammar": grammar}},  # vLLM from 0.12 on
    lambda grammar: {"guided_grammar": grammar},  # vLLM before
)


class _ServerError(Exception):
    """Why a server gave no answer; another one may."""


class RemoteModel:
    """A model behind servers (see `rag.llm.base.LanguageModel`). Several threads may use it at once.

    `takes_grammar` says that its servers hold it to a grammar. If one does, those that don't are not asked.
    """

    context_tokens = CONTEXT_TOKENS
    parameters = 10**12
    """Unknown. Who runs servers for a model has one that can write; else `--mode quote` says so."""

    def __init__(self, served: ServedModel) -> None:
        """Ask each server whether it takes a grammar; `ModelError` if none answers or all refuse."""
        self.name = served.name
        self._urls = served.urls
        headers = {"Authorization": f"Bearer {served.key}"} if served.key else {}
        timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
        # As many connections as are asked for: a wait for one would look like a server's.
        try:
            self._client = httpx.Client(headers=headers, timeout=timeout, limits=httpx.Limits())
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            said = _plain(str(error)).rstrip(".")
            raise ModelError(
                f"The proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY can't be used ({said}). Set another, or "
                "none."
            ) from error
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._away: dict[str, float] = {}
        self._dialects: dict[str, Callable[[str], dict[str, Any]] | None] = {}
        failed = []
        for url in self._urls:
            try:
                self._dialect(url)
            except _ServerError as error:
                failed.append(str(error))
        if not self._dialects:
            self.close()
            raise ModelError(f"{'; '.join(failed)}. Start one, or name another: --model openai:NAME@URL")
        self.takes_grammar = any(dialect is not None for dialect in self._dialects.values())

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def count_prompt(self, message: str, *, opening: str) -> int:
        """About how many: a token for each four bytes, as the servers' tokenizers aren't at hand."""
        return self.count_tokens(message + opening)

    def count_tokens(self, text: str) -> int:
        """See `count_prompt`."""
        return -(-len(text.encode()) // _BYTES_A_TOKEN)

    def can_write(self, text: str) -> bool:
        """Any text: the tokens of models of this size stand for all bytes."""
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
        """See `LanguageModel.generate`; line by line, and without the bias: it would need the model's tokens.

        Where a server fails, the next one writes the reply anew, and as many of its lines are passed over as
        were passed on: the same in most cases. `ModelError` when all have failed.
        """
        passed_on = 0
        failed: list[str] = []
        for url in self._in_turn():
            if cancelled():
                return
            try:
                lines = _lines(self._reply(url, message, opening, grammar, max_tokens, cancelled))
                for line in itertools.islice(lines, passed_on, None):
                    yield line
                    passed_on += 1
                return
            except _ServerError as error:
                if cancelled():
                    return
                failed.append(str(error))
                with self._lock:
                    self._away[url] = time.monotonic() + _AWAY_S
        raise ModelError(f"{'; '.join(failed)}. Ask again, or name another: --model openai:NAME@URL")

    def _in_turn(self) -> Iterator[str]:
        """The servers, another one first each time, those that failed a moment ago last."""
        with self._lock:
            now = time.monotonic()
            away = [url for url in self._urls if self._away.get(url, now) > now]
        there = [url for url in self._urls if url not in away]
        first = next(self._turn) % max(len(there), 1)
        yield from [*there[first:], *there[:first], *away]

    def _reply(
        self,
        url: str,
        message: str,
        opening: str,
        grammar: str,
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """What the model writes after `opening`."""
        dialect = self._dialect(url)
        asked: dict[str, Any] = {}
        if self.takes_grammar:
            if dialect is None:
                raise _ServerError(f"{url} takes no grammar")
            asked = dialect(_after(opening, grammar))
        # What stands before is written once more: a chat can't begin in the middle of a reply.
        written = len(opening) if self.takes_grammar else 0
        budget = max_tokens + len(opening.encode())
        for piece in self._completion(url, message, asked, budget, cancelled):
            skipped = min(written, len(piece))
            written -= skipped
            if piece[skipped:]:
                yield piece[skipped:]

    def _dialect(self, url: str) -> Callable[[str], dict[str, Any]] | None:
        """How the server is told of a grammar; None if it takes none."""
        if url not in self._dialects:
            found = None
            for dialect in _DIALECTS:
                word = secrets.token_hex(4)
                with contextlib.suppress(_RefusedError):
                    said = self._completion(
                        url, "Say hello.", dialect(f"root ::= {literal(word)}"), 16, lambda: False
                    )
                    if "".join(said).strip() == word:
                        found = dialect
                        break
            self._dialects[url] = found
        return self._dialects[url]

    def _completion(
        self,
        url: str,
        message: str,
        more: Mapping[str, Any],
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """The pieces of a reply to this message, likeliest token first."""
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": message}],
            "temperature": 0,
            "max_tokens": max_tokens,
            "stream": True,
            **more,
        }
        ended = False
        try:
            with self._client.stream("POST", f"{url}/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    raise _refused(self.name, url, response)
                for data in _events(url, response, cancelled):
                    if data == "[DONE]":
                        return
                    piece, last = _piece(url, data)
                    ended = ended or last
                    if piece:
                        yield piece
        except (httpx.InvalidURL, UnicodeError) as error:
            raise _ServerError(f"{url} is no address ({_plain(str(error))})") from error
        except httpx.TimeoutException as error:
            raise _ServerError(f"{url} doesn't answer (waited {_waited(error):g} s)") from error
        except httpx.HTTPError as error:
            raise _ServerError(
                f"{url} can't be reached ({_plain(str(error)) or type(error).__name__})"
            ) from error
        if not ended and not cancelled():
            raise _ServerError(f"{url} ended in mid-answer")


class _RefusedError(_ServerError):
    """The server doesn't take the request as it is."""


def _waited(error: httpx.TimeoutException) -> float:
    return CONNECT_S if isinstance(error, httpx.ConnectTimeout) else READ_S


def _events(url: str, response: httpx.Response, cancelled: Callable[[], bool]) -> Iterator[str]:
    """The data of each server-sent event, until it is cancelled.

    What keeps a connection alive is no event: a server that sends nothing else for so long is given up.
    """
    rest = b""
    heard = time.monotonic()
    for content in response.iter_bytes():
        *lines, rest = (rest + content).split(b"\n")  # no other end of a line: JSON may have those of Unicode
        for line in lines:
            if line.startswith(b"data:"):
                heard = time.monotonic()
                yield line.removeprefix(b"data:").strip().decode("utf-8", "replace")
        if cancelled():
            return
        if time.monotonic() - heard > READ_S:
            raise _ServerError(f"{url} doesn't answer (waited {READ_S:g} s)")


def _refused(name: str, url: str, response: httpx.Response) -> _ServerError:
    """What a status other than 200 means."""
    status = response.status_code
    if status in (401, 403):
        keyed = "Authorization" in response.request.headers
        why = "refuses the key that RAG_MODEL_KEY has" if keyed else "wants a key, which RAG_MODEL_KEY lacks"
        return _ServerError(f"{url} {why}")
    if status == 404:
        return _ServerError(f"{url} has no model {name}, or isn't the root of an OpenAI-compatible API")
    kind = _RefusedError if status in (400, 422) else _ServerError
    return kind(f"{url} answers with status {status} ({_plain(response.text)})")


def _plain(text: str) -> str:
    """What a server said, on one line of a terminal."""
    return "".join(filter(str.isprintable, " ".join(text.split())))[:200]


def _piece(url: str, data: str) -> tuple[str, bool]:
    """The text of a part of a streamed reply, and whether the reply ends with it."""
    try:
        part = json.loads(data)
        if part.get("error"):
            raise _ServerError(f"{url} stopped ({_plain(str(part['error']))})")
        choice = (part.get("choices") or [{}])[0]
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise TypeError("text is a string")
        return text, choice.get("finish_reason") is not None
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise _ServerError(f"{url} answers with what is no chat completion") from error


def _after(opening: str, grammar: str) -> str:
    """The grammar of the opening followed by what this grammar allows."""
    if not opening:
        return grammar
    return re.sub(
        r"^root ::= (.*)$",
        lambda found: f"root ::= {literal(opening)} ({found[1]})",
        grammar,
        count=1,
        flags=re.M,
    )


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """The text in whole lines, each with its end, and what is left after the last."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest:
        yield rest
