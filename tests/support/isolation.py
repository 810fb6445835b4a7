"""Real servers that would listen to anybody, in namespaces of their own, which end with them."""

import fcntl
import socket
import struct
import subprocess

import pytest

_SIOCSIFFLAGS, _UP = 0x8914, 1
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--map-root-user"]
"""Ends all that it began when it is ended itself."""


def require_isolation() -> None:
    """Skip the test where this machine doesn't let it have namespaces of its own."""
    try:
        can = subprocess.run([*ISOLATED, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        can = False
    if not can:
        pytest.skip("no network namespace can be made here, and what is tested listens on all interfaces")


def open_loopback() -> None:
    """Let programs inside the namespace reach each other at 127.0.0.1."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
