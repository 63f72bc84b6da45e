"""Runs one role in this process. The modules of a role are imported only when it is the one to run."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable

import uvloop
from aiokafka.errors import KafkaError

from sluice.errors import StartError
from streams.runtime.role import Role
from topics.configuration.channels import Channels
from topics.configuration.hang_ups import HangUps
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.channel_topics import topics_of
from topics.kafka.start_waits import is_over_before_end
from topics.logs.setup import configure
from topics.traces import setup as traces
from topics.traces.setup import TracesError

log = logging.getLogger(__name__)

STREAMS = {
    "orders": ("streams.order.role", "OrdersRole"),
    "delivery": ("streams.delivery.bootstrap", "delivery_role"),
    "inventory": ("streams.inventory.role", "InventoryRole"),
}
TOPICS_TIMEOUT_S = 120.0
"""Longest wait of a role for Kafka and its topics. A container of Kafka takes up to a minute to start."""
_POLL_S = 0.2


def configure_signals(settings: Settings, role: str) -> None:
    """Logs to standard error, one line for each record; the service manager keeps it. Sends spans to the collector of
    the settings, if there is one. Raises StartError."""
    instance = str(settings.gateway_number) if role == "gateway" else settings.instance
    configure(role, instance, settings.log_level, settings.log_format)
    try:
        traces.configure(settings.traces_url, settings.traces_ratio, role, instance, settings.topic_prefix)
    except TracesError as error:
        raise StartError(str(error)) from error


def run_gateway(settings: Settings, channels: Channels, hang_ups: HangUps) -> int:
    from gateway.app import run  # noqa: PLC0415 - see above

    if not uvloop.run(is_over_before_end(wait_for_topics(settings, channels))):
        return 0
    uvloop.run(run(settings, channels, hang_ups))
    return 0


def run_streams(name: str, settings: Settings, channels: Channels, hang_ups: HangUps) -> int:
    from streams.runtime.run import run_role  # noqa: PLC0415 - see above

    module, class_name = STREAMS[name]
    make: Callable[[Settings, Channels], Role] = getattr(importlib.import_module(module), class_name)
    if not uvloop.run(is_over_before_end(wait_for_topics(settings, channels))):
        return 0
    return int(run_role(make(settings, channels), settings, hang_ups=hang_ups))


def run_journal(settings: Settings, channels: Channels) -> int:
    from streams.journal.role import run_journal as run_role  # noqa: PLC0415 - see above

    if not uvloop.run(is_over_before_end(wait_for_topics(settings, channels))):
        return 0
    return run_role(settings)


async def wait_for_topics(
    settings: Settings, channels: Channels | None = None, timeout_s: float = TOPICS_TIMEOUT_S
) -> None:
    """Return once Kafka answers and has every topic of the catalogue. Raises StartError after `timeout_s`.

    So roles and Kafka may be started together, in any order.
    """
    wanted = {topic.full_name(settings.topic_prefix) for topic in topics_of(channels)}
    deadline = asyncio.get_running_loop().time() + timeout_s
    logged = ""
    while (missing := await _missing(settings, wanted)) != set():
        why = f"Kafka at {settings.kafka} does not answer" if missing is None else f"no topic {min(missing)}"
        if asyncio.get_running_loop().time() > deadline:
            advice = "; check SLUICE_KAFKA" if missing is None else "; make the topics with `sluice topics create`"
            raise StartError(f"{why}, after {timeout_s:.0f} s{advice}")
        if why != logged:
            log.info("waiting for Kafka: %s", why)
            logged = why
        await asyncio.sleep(_POLL_S)


async def _missing(settings: Settings, wanted: set[str]) -> set[str] | None:
    """Return the topics that do not exist yet; None when Kafka does not answer."""
    admin = clients.admin(settings, request_timeout_s=5.0)
    try:
        await admin.start()
        return wanted - set(await admin.list_topics())
    except (KafkaError, OSError):
        return None  # the caller logs it and tries again
    finally:
        await admin.close()
