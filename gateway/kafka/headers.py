"""Record headers of commands, equal to `Envelope.headers()`: what a touchpoint and channel fix is kept."""

from __future__ import annotations

from functools import lru_cache

from topics.records.envelope import GATEWAY_SOURCE, Envelope, Headers, iso_time


@lru_cache(maxsize=4_096)
def _constant(kind: str, channel: str) -> Headers:
    """Some twenty kinds for each channel."""
    headers = Envelope(id="", type=kind, source=GATEWAY_SOURCE, channel=channel).headers()
    return tuple(header for header in headers if header[0] != "ce_id")


@lru_cache(maxsize=16)
def _time(now_ms: int) -> bytes:
    """Requests of one millisecond share it."""
    return iso_time(now_ms).encode()


def command_headers(
    kind: str,
    channel: str,
    event: str,
    subject: str,
    now_ms: int,
    reply_partition: int | None,
    deadline_ms: int | None,
    batch: str = "",
) -> Headers:
    varying = [("ce_id", event.encode()), ("ce_time", _time(now_ms))]
    if subject:
        varying.append(("ce_subject", subject.encode()))
    if reply_partition is not None:
        varying.append(("sluice-reply-partition", b"%d" % reply_partition))
    if deadline_ms is not None:
        varying.append(("sluice-deadline-ms", b"%d" % deadline_ms))
    if batch:
        varying.append(("sluice-batch-id", batch.encode()))
    return (*_constant(kind, channel), *varying)
