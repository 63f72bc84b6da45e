"""The limits of connections: how many there may be, and how long each step of a request may take."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from topics.configuration.networks import Network, parse_networks
from topics.configuration.settings import (
    ANSWER_READ_S,
    BODY_RATE_MIN,
    BODY_TIMEOUT_S,
    HEAD_TIMEOUT_S,
    KEEP_ALIVE_S,
    Settings,
)

SWEEP_S = 0.5
"""How often deadlines are looked at, all together: a timer for each request would cost more than the request's head."""
BODY_GRACE_S = 5.0
"""No least rate is asked of the first seconds: packets get lost, and a client may compute while it sends."""
STREAM_GRACE_S = 60.0
"""The same of a stream, whose sender may wait for its own source; it has no limit for the whole."""
LINGER_S = 2.0
"""After the last answer of a connection, what still comes is thrown away for so long: closed at once, a connection
answers with a reset, and the client never reads the answer."""
LINGER_BYTES_MAX = 8 << 20
"""The same in bytes: twice the largest body."""
DISCARD_BYTES_MAX = 256 << 10
"""The body of a refused request is thrown away up to this size, and the connection stays. A larger one costs more than
a new connection."""
HEAD_BYTES_MAX = 64 << 10
"""Most bytes of a head: four of the longest headers."""
HELD_HEADS_BYTES_MAX = 32 << 20
"""Most bytes of all heads that have begun and not ended, and of pipelined requests that wait: nearly all heads come in
one piece, and are not held."""
SURPLUS_MAX = 32
"""Connections beyond the limit that are still heard: probes are answered, all others get 503 and come again."""
SURPLUS_S = 1.0
"""How long one of them may take for its head: a probe sends it at once."""
ADMIN_CONNECTIONS_MAX = 64
"""Connections of the admin port: operators, their commands and scrapers are few, its calls in hand fewer still."""
FILES_RESERVE = 128 + ADMIN_CONNECTIONS_MAX
"""Files that are not marketplaces' connections: Kafka's brokers (two clients each), snapshots, logs, and the surplus;
and the admin port's."""
CONNECTIONS_CAP = 20_000
"""Most connections even if the file limit allows more. An idle one costs some 10 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits of a server. `connections_per_peer` None: as many as are free (see Peers)."""

    connections_max: int
    connections_per_peer: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    surplus_max: int = SURPLUS_MAX
    head_s: float = HEAD_TIMEOUT_S
    head_bytes_max: int = HEAD_BYTES_MAX
    held_heads_bytes_max: int = HELD_HEADS_BYTES_MAX
    body_s: float = BODY_TIMEOUT_S
    body_grace_s: float = BODY_GRACE_S
    body_rate_min: int = BODY_RATE_MIN
    stream_grace_s: float = STREAM_GRACE_S
    idle_s: float = KEEP_ALIVE_S
    answer_s: float = ANSWER_READ_S
    sweep_s: float = SWEEP_S
    surplus_s: float = SURPLUS_S
    linger_s: float = LINGER_S
    linger_bytes_max: int = LINGER_BYTES_MAX
    discard_bytes_max: int = DISCARD_BYTES_MAX


def raise_file_limit() -> int:
    """Lets this process open as many files as its connections can need, if its hard limit allows. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_CAP + FILES_RESERVE + SURPLUS_MAX
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (ValueError, OSError):
        return soft
    return raised


def limits_of(settings: Settings, files: int) -> Limits:
    """The limits of a gateway whose process may open so many files."""
    reserve = min(FILES_RESERVE, files // 4) + SURPLUS_MAX
    within = max(1, min(files - reserve, CONNECTIONS_CAP))
    return Limits(
        connections_max=min(settings.connections_max or within, within),
        connections_per_peer=settings.connections_per_peer,
        trusted_proxies=parse_networks(settings.trusted_proxies),
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        body_rate_min=settings.body_rate_min,
        idle_s=settings.keep_alive_s,
        answer_s=settings.answer_read_s,
    )
