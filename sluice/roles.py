"""Starting one role in this process. What a role is made of is imported only when it is the one to start."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable

import uvloop
from aiokafka.errors import KafkaError

from sluice.errors import StartError
from streams.runtime.role import Role
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.channel_topics import topics_of

log = logging.getLogger(__name__)

STREAMS = {
    "orders": ("streams.order.role", "OrdersRole"),
    "delivery": ("streams.delivery.bootstrap", "delivery_role"),
    "inventory": ("streams.inventory.role", "InventoryRole"),
}
TOPICS_TIMEOUT_S = 120.0
"""How long a role waits for Kafka and its topics. A container of Kafka needs up to a minute to start."""
_POLL_S = 0.2


def configure_logging(settings: Settings) -> None:
    """One line per record on standard error: who runs the role keeps it."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s  %(message)s",
        stream=sys.stderr,
    )
    # The client tells each step of joining a group; what matters of it the runtime says itself.
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, logging.root.level))
    # And it reports every reconnect to a broker that is away as an error; the roles say it once, in /ready.
    for noisy in ("aiokafka.conn", "aiokafka.client", "aiokafka.cluster"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def run_gateway(settings: Settings, channels: Channels) -> int:
    from gateway.app import run  # noqa: PLC0415 - see above

    uvloop.run(wait_for_topics(settings, channels))
    uvloop.run(run(settings, channels))
    return 0


def run_streams(name: str, settings: Settings, channels: Channels) -> int:
    from streams.runtime.worker import run_role  # noqa: PLC0415 - see above

    module, class_name = STREAMS[name]
    make: Callable[[Settings, Channels], Role] = getattr(importlib.import_module(module), class_name)
    uvloop.run(wait_for_topics(settings, channels))
    return int(run_role(make(settings, channels), settings))


async def wait_for_topics(
    settings: Settings, channels: Channels | None = None, timeout_s: float = TOPICS_TIMEOUT_S
) -> None:
    """Returns when Kafka answers and has every topic there should be; raises StartError when it does not in time.

    So roles may be started together with Kafka, in any order.
    """
    wanted = {topic.full_name(settings.topic_prefix) for topic in topics_of(channels)}
    deadline = asyncio.get_running_loop().time() + timeout_s
    said = ""
    while (missing := await _missing(settings, wanted)) != set():
        why = f"Kafka at {settings.kafka} does not answer" if missing is None else f"no topic {min(missing)}"
        if asyncio.get_running_loop().time() > deadline:
            advice = "" if missing is None else "; make the topics with `sluice topics create`"
            raise StartError(f"{why}, after {timeout_s:.0f} s{advice}")
        if why != said:
            log.info("waiting: %s", why)
            said = why
        await asyncio.sleep(_POLL_S)


async def _missing(settings: Settings, wanted: set[str]) -> set[str] | None:
    """The topics that are not there yet; None when Kafka does not answer."""
    admin = clients.admin(settings, request_timeout_s=5.0)
    try:
        await admin.start()
        return wanted - set(await admin.list_topics())
    except (KafkaError, OSError):
        return None  # not yet; the caller says so
    finally:
        await admin.close()
