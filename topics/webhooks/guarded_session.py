"""An aiohttp session that connects only where the guard allows.

Names are resolved here, every address of the answer is checked, and what is dialled is one of those addresses: nothing
resolves the name again, so a name that points elsewhere a moment later (rebinding) changes nothing. Each socket is
checked once more by the address it is made for, which covers addresses that are written in the URL. A kept connection
stays with the address it was dialled to. No redirects, no cookies, no proxies or credentials from the environment.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from topics.configuration import Settings
from topics.webhooks.addresses import AddressGuard, parse_networks, parse_ports

KEEPALIVE_S = 15.0
"""Idle connections are dropped before common far sides drop them (Tomcat 20 s, ALB 60 s): fewer resets on re-use."""
LOOKUPS_MAX = 64
"""Names that are looked up at once. A name server that hangs holds one for each name, and the others go on."""
DIALLED_MAX = 8
"""Addresses of a name that are tried: they all have the time-out of one attempt."""

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a name, IPv4 and IPv6."""


class AddressRefusedError(OSError):
    """The guard does not let this be dialled."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)  # aiohttp tells only the text of an error that has a number


class NoAddressError(OSError):
    """The name means nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EADDRNOTAVAIL, reason)


def guard_of(settings: Settings) -> AddressGuard:
    return AddressGuard(
        networks=parse_networks(settings.subscriber_networks),
        ports=parse_ports(settings.subscriber_ports),
        plain_http=settings.subscriber_http,
    )


class SystemLookup:
    """The system's resolver, in threads of its own: the event loop's few are shared with everything else, and a thread
    that waits for a name server must not hold up the end of the process."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(LOOKUPS_MAX)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        async with self._free:
            loop = asyncio.get_running_loop()
            found: asyncio.Future[Sequence[str]] = loop.create_future()

            def run() -> None:
                try:
                    answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError) as error:
                    _tell(loop, found, NoAddressError(f"{host} has no address: {error}"))
                else:
                    _tell(loop, found, list(dict.fromkeys(str(entry[4][0]) for entry in answer)))

            threading.Thread(target=run, name=f"lookup {host}", daemon=True).start()
            return await found


def _tell(
    loop: asyncio.AbstractEventLoop, found: asyncio.Future[Sequence[str]], answer: Sequence[str] | OSError
) -> None:
    def tell() -> None:
        if found.done():
            return
        if isinstance(answer, OSError):
            found.set_exception(answer)
        else:
            found.set_result(answer)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more


class GuardedResolver(AbstractResolver):
    def __init__(self, guard: AddressGuard, lookup: Lookup) -> None:
        self._guard = guard
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the interface has it
    ) -> list[ResolveResult]:
        """All addresses, of both families whatever `family`: one that is refused refuses the name."""
        addresses = await self._lookup(host, port)
        if not addresses:
            raise NoAddressError(f"{host} has no address")
        refusal = self._guard.answer_refusal(addresses, port)
        if refusal is not None:
            raise AddressRefusedError(f"{host}: {refusal}")
        return [_result(host, address, port) for address in addresses[:DIALLED_MAX]]

    async def close(self) -> None:
        """Lookups end by themselves."""


def guarded_connector(guard: AddressGuard, lookup: Lookup | None = None) -> aiohttp.TCPConnector:
    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, peer = info
        refusal = guard.refusal(str(peer[0]), int(peer[1]))
        if refusal is not None:
            raise AddressRefusedError(refusal)
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=KEEPALIVE_S,
        resolver=GuardedResolver(guard, lookup or SystemLookup()),
        socket_factory=make_socket,
    )


def guarded_session(guard: AddressGuard, lookup: Lookup | None = None) -> aiohttp.ClientSession:
    """Answers are not decompressed: nothing in them is worth a bomb."""
    return aiohttp.ClientSession(
        connector=guarded_connector(guard, lookup),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "Sluice", "Accept": "application/json", "Accept-Encoding": "identity"},
    )


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
