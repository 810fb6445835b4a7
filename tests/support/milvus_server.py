"""A real Milvus server in a network namespace of its own, reached through one port on the loopback.

The server listens on all interfaces without a password. Here nobody else can reach any of them: this module,
run as a program inside the namespace, passes on what comes in at a socket that was opened outside.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import PATIENCE_S, ROOT
from tests.support.isolation import ISOLATED, open_loopback, require_isolation


class Server:
    """Where the server is reached, and the process that ends it."""

    def __init__(self, port: int, process: subprocess.Popen[str], programs: Path) -> None:
        self.port = port
        self.programs = programs
        self.process = process

    def stop(self) -> None:
        """End the server and all of its processes."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    def pause(self) -> None:
        """Let the server be reached, but answer nothing."""
        os.kill(self._passing_on(), signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.kill(self._passing_on(), signal.SIGCONT)

    def resident_mib(self) -> float:
        """The memory of the server itself."""
        status = Path(f"/proc/{_child(self._passing_on())}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def _passing_on(self) -> int:
        return _child(self.process.pid)


def _child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


@contextlib.contextmanager
def milvus_server(folder: Path, programs: Path, **options: object) -> Iterator[Server]:
    """A server with its data in `folder`, its unpacked programs in `programs`; skips where it can't be.

    `options` are those of its configuration (see the package `milvus`).
    """
    pytest.importorskip("milvus", reason="the package milvus==2.3.5 has the server")
    require_isolation()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = [sys.executable, "-m", "tests.support.milvus_server"]
        process = subprocess.Popen(
            [*ISOLATED, *program, str(listening.fileno()), folder, programs, json.dumps(options)],
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        server = Server(listening.getsockname()[1], process, programs)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the server starts"
        yield server
    finally:
        server.stop()


def main(descriptor: int, folder: Path, programs: Path, options: Mapping[str, object]) -> None:
    """Start the server, and pass on what comes in until this process is ended."""
    open_loopback()
    server = started_server(folder, programs, options)
    print("ready", flush=True)  # noqa: T201
    asyncio.run(_serve(socket.socket(fileno=descriptor), server.listen_port))


def started_server(folder: Path, programs: Path, options: Mapping[str, object]) -> Any:
    """A server, inside the namespace, with its data in a new folder."""
    from milvus import MilvusServer

    folder.mkdir(parents=True)
    programs.mkdir(parents=True, exist_ok=True)
    (folder / "bin").symlink_to(programs)  # 200 MB, unpacked once
    server = MilvusServer(data_dir=str(folder))
    for name, value in options.items():
        server.config.set(name, value)
    server.start()
    return server


async def _serve(listening: socket.socket, port: int) -> None:
    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copied(reader, inner_writer), _copied(inner_reader, writer))

    async with await asyncio.start_server(passed_on, sock=listening) as server:
        await server.serve_forever()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while content := await reader.read(2**16):
            writer.write(content)
            await writer.drain()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]))
