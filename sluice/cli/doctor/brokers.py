"""Looks at the brokers: whether they are reached, what their ports speak, and whether they are where Kafka says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sluice.cli.doctor.findings import Observation, ok, problem
from sluice.cli.doctor.wire import Heard, Speaks, heard_at

Address = tuple[str, int]
ADVERTISED = (
    "advertised.listeners of that broker says where clients find it: give an address that resolves and answers here"
)
REACH = "Start the broker, open the way to it, or correct SLUICE_KAFKA"


def addresses(text: str) -> list[Address]:
    """The addresses in SLUICE_KAFKA. Those that are none have port 0."""
    found = []
    for one in text.split(","):
        host, _, port = one.strip().rpartition(":")
        found.append((host.strip("[]"), int(port) if port.isdecimal() and int(port) < 1 << 16 else 0))
    return found


async def look(kafka: str, *, expects_tls: bool = False) -> list[Observation]:
    """The bootstrap servers."""
    given = addresses(kafka)
    heard = await asyncio.gather(*(asyncio.to_thread(heard_at, host, port) for host, port in given))
    found: list[Observation] = []
    for (host, port), what in zip(given, heard, strict=True):
        found += told(f"{host}:{port}", what, expects_tls=expects_tls)
    return found


async def look_at_advertised(kafka: str, advertised: Iterable[Address]) -> list[Observation]:
    """The addresses by which Kafka names its brokers, where they are not those of the settings."""
    others = sorted(set(advertised) - set(addresses(kafka)))
    heard = await asyncio.gather(*(asyncio.to_thread(heard_at, host, port) for host, port in others))
    found: list[Observation] = []
    for (host, port), what in zip(others, heard, strict=True):
        about = f"{host}:{port}"
        if what.speaks in (Speaks.NO_HOST, Speaks.NOTHING):
            why = f"Kafka names this broker, which cannot be reached from here: {what.detail}"
            found.append(problem("broker", about, why, ADVERTISED))
        else:
            found += told(about, what, expects_tls=False)
    return found


def told(about: str, heard: Heard, *, expects_tls: bool) -> list[Observation]:
    """The findings of what was heard at a broker's port."""
    if heard.speaks is Speaks.NO_HOST:
        return [problem("broker", about, f"The host is not known: {heard.detail}", "Correct SLUICE_KAFKA, or the DNS")]
    if heard.speaks is Speaks.NOTHING:
        return [problem("broker", about, f"No connection: {heard.detail}", REACH)]
    reached = ok("broker", about, "It can be reached")
    if heard.speaks is Speaks.SASL:
        named = f" ({heard.detail})" if heard.detail else ""
        what = f"The port asks for SASL{named}, which Sluice does not speak"
        do = "Give SLUICE_KAFKA the address of a listener with the protocol PLAINTEXT"
        return [reached, problem("protocol", about, what, do)]
    if heard.speaks is Speaks.OTHER:
        what = "What answers there is no Kafka, or it closes connections at once"
        return [
            reached,
            problem("protocol", about, what, "Correct the port in SLUICE_KAFKA, or look at the broker's log"),
        ]
    speaks_tls = heard.speaks in (Speaks.TLS, Speaks.KAFKA_IN_TLS)
    if speaks_tls and not expects_tls:
        what = "The port speaks TLS, and Sluice connects without it"
        do = "Give SLUICE_KAFKA the address of a listener with the protocol PLAINTEXT"
        return [reached, problem("protocol", about, what, do)]
    if expects_tls and not speaks_tls:
        what = "The port speaks no TLS, and it was to be so (--tls)"
        return [reached, problem("protocol", about, what, "Give the address of the broker's listener with TLS")]
    return [reached, ok("protocol", about, f"The port speaks {heard.speaks}")]
