"""Connects only where the guard allows.

A name is resolved here, every address of the answer is checked, and those addresses are dialled, as numbers. Nothing
resolves the name again, so a name that points elsewhere a moment later (rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future

import aiohappyeyeballs

from topics.configuration.networks import parse_networks, parse_ports
from topics.configuration.settings import Settings
from topics.webhooks.addresses import NOT_ALLOWED, AddressGuard, is_address

LOOKUPS_MAX = 64
"""Names that are looked up at once. A name server that hangs keeps one place for each name; the others go on."""
DIALLED_MAX = 8
"""Addresses of a name that are tried: together they have the time-out of one attempt."""
KEPT_S = 10.0
"""How long an answer is used again: short enough to follow a name that moves, and a burst of dials asks once."""
NAMES_MAX = 4096
"""Answers that are kept."""
NEXT_ADDRESS_S = 0.25
"""How long the first address is tried alone before the next is tried beside it (RFC 8305)."""
LOG_EVERY_S = 60.0
"""How often the log says why one endpoint is refused: a blocked subscription is tried again and again."""

log = logging.getLogger(__name__)

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""All addresses of a name, IPv4 and IPv6. Raises OSError when there is none."""


class AddressRefusedError(OSError):
    """The guard does not allow dialling this address. The log says which, the message does not."""


class NoAddressError(OSError):
    """A name has no address."""


def guard_of(settings: Settings) -> AddressGuard:
    return AddressGuard(
        networks=parse_networks(settings.subscriber_networks),
        ports=parse_ports(settings.subscriber_ports),
        plain_http=settings.subscriber_http,
    )


def network_fault(error: OSError) -> str:
    """The words for an error of the network that callers may see: without the address at which it happened."""
    if isinstance(error, AddressRefusedError | NoAddressError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "verify_message", "") or error.reason
    else:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno) if error.errno else ""
    return f"{type(error).__name__}: {why}" if why else type(error).__name__


class Dialler:
    """Makes connected sockets. A name is looked up once at a time, and its answer is kept for KEPT_S."""

    def __init__(self, guard: AddressGuard, lookup: Lookup | None = None) -> None:
        self._guard = guard
        self._lookup = lookup or SystemLookup()
        self._kept: dict[str, tuple[float, Sequence[str]]] = {}
        self._asking: dict[str, asyncio.Task[Sequence[str]]] = {}
        self._logged: OrderedDict[str, float] = OrderedDict()

    async def connect(self, host: str, port: int) -> socket.socket:
        """Raises AddressRefusedError, and OSError as the network does."""
        addresses = [host] if is_address(host) else await self._addresses(host)
        refusal = self._guard.answer_refusal(addresses, port)
        if refusal is not None:
            self.log_refusal(refusal if is_address(host) else f"{host}: {refusal}")
            raise AddressRefusedError(NOT_ALLOWED)
        infos = [_info(address, port) for address in addresses[:DIALLED_MAX]]
        return await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1)

    def log_refusal(self, why: str) -> None:
        """Logs why an endpoint is refused, once in a while."""
        now = asyncio.get_running_loop().time()
        if now - self._logged.get(why, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[why] = now
            self._logged.move_to_end(why)
            if len(self._logged) > NAMES_MAX:
                self._logged.popitem(last=False)
            log.warning("endpoint.refused: %s", why)

    def stop(self) -> None:
        for task in self._asking.values():
            task.cancel()

    async def _addresses(self, host: str) -> Sequence[str]:
        now = asyncio.get_running_loop().time()
        until, addresses = self._kept.get(host, (0.0, ()))
        if now < until:
            return addresses
        task = self._asking.get(host)
        if task is None:
            task = self._asking[host] = asyncio.create_task(self._ask(host), name=f"lookup {host}")
            task.add_done_callback(_heard)
        # Shielded: a caller that gives up does not end the lookup for the others.
        return await asyncio.shield(task)

    async def _ask(self, host: str) -> Sequence[str]:
        try:
            addresses = await self._lookup(host)
        finally:
            del self._asking[host]
        if not addresses:
            raise NoAddressError(f"{host} has no address")
        if len(self._kept) >= NAMES_MAX:
            self._kept.clear()
        self._kept[host] = (asyncio.get_running_loop().time() + KEPT_S, addresses)
        return addresses


def _heard(task: asyncio.Task[Sequence[str]]) -> None:
    """Takes note of a failure, so that asyncio does not warn when all callers gave up; waiting ones raise it."""
    if not task.cancelled():
        task.exception()


class SystemLookup:
    """The system's resolver, in threads of its own: the event loop's are few and shared, and a thread that waits for a
    name server must not hold up the end of the process."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(LOOKUPS_MAX)

    async def __call__(self, host: str) -> Sequence[str]:
        async with self._free:
            found: Future[Sequence[str]] = Future()
            found.set_running_or_notify_cancel()  # a caller that gives up waiting does not cancel it

            def run() -> None:
                try:
                    answer = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError) as error:
                    found.set_exception(NoAddressError(f"{host} has no address: {error}"))
                else:
                    found.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in answer)))

            threading.Thread(target=run, name=f"lookup {host}", daemon=True).start()
            return await asyncio.wrap_future(found)


def _info(address: str, port: int) -> aiohappyeyeballs.AddrInfoType:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
