"""Free TCP ports of this machine."""

from __future__ import annotations

import random
import socket

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
    """`count` different ports that are free now. Chosen at random, so that two processes rarely choose the same."""
    choice = random.SystemRandom()
    found: list[int] = []
    for _ in range(_TRIES):
        port = choice.randrange(_LOW, _HIGH)
        if port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"found only {len(found)} of {count} free ports between {_LOW} and {_HIGH}")
