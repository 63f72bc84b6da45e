"""Free TCP ports of this machine."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_LOW, _HIGH = 20_000, 32_000
"""Below Linux' ephemeral range (from 32768): no outgoing connection takes a port between its choice and its use."""
_TRIES = 1_000
"""Enough to find a handful of free ports among 12,000 unless nearly all are taken."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` ports that are free now. While this process lives, no other process gets them from here."""
    choice = random.SystemRandom()
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        port = choice.randrange(_LOW, _HIGH)
        if port not in found and _is_ours(port) and is_free(port):
            found.append(port)
    raise OSError(f"found only {len(found)} of {count} free ports between {_LOW} and {_HIGH}")


def _is_ours(port: int) -> bool:
    """Lock the port's byte of a file that all processes of this user share, until this process ends.

    A port looks free until it is used: without the lock, two stacks that start at once could choose the same.
    """
    try:
        fcntl.lockf(_shared_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _shared_file() -> int:
    """Open the file until the process ends: closing it would unlock every byte."""
    return os.open(Path(tempfile.gettempdir()) / f"sluice-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
