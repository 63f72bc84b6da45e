"""How many connections there may be, in all and from one address, and which idle one is closed to make room."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Protocol

from gateway.connections.limits import Limits
from topics.configuration.networks import Network


class Counted(Protocol):
    """A connection as it is counted. `peer`: see topics.configuration.networks."""

    peer: str

    def end_idle(self) -> None:
        """Closes the connection, which has no request. Afterwards it counts no more."""


class _Peer:
    """`trusted`: a load balancer, that is many callers."""

    __slots__ = ("count", "idle", "trusted")

    def __init__(self, *, trusted: bool) -> None:
        self.count = 0
        self.trusted = trusted
        self.idle: dict[Counted, None] = {}


class Peers:
    """Counts connections. Those without a request are known in the order in which they came to rest.

    Without a limit of its own a peer may have as many connections as are free: half of all if it is alone, a third each
    if two want as many as they can get. So there is always room for the next peer. A trusted proxy is many callers, and
    may have all.
    """

    def __init__(self, limits: Limits) -> None:
        self.count = 0
        self._limits = limits
        self._peers: dict[str, _Peer] = {}
        self._idle: dict[Counted, None] = {}

    def enter(self, connection: Counted) -> str | None:
        """Counts a new connection, after it has closed an idle one if it must. Otherwise why there is no room."""
        peer = self._peers.get(connection.peer)
        if peer is None:
            peer = self._peers[connection.peer] = _Peer(trusted=self._is_trusted(connection.peer))
        if not peer.trusted and peer.count >= self._most and not _made_room(peer.idle):
            return "peer"
        if self.count >= self._limits.connections_max and not _made_room(self._idle):
            if not peer.count:
                del self._peers[connection.peer]
            return "total"
        # Making room may have taken this peer's last connection, and with it the entry.
        peer = self._peers.setdefault(connection.peer, peer)
        self.count += 1
        peer.count += 1
        return None

    def leave(self, connection: Counted) -> None:
        """Ends the counting of a connection that had entered."""
        self.busy(connection)
        self.count -= 1
        peer = self._peers[connection.peer]
        peer.count -= 1
        if not peer.count:
            del self._peers[connection.peer]

    def rest(self, connection: Counted) -> None:
        """Notes that a connection has no request."""
        self._idle[connection] = None
        self._peers[connection.peer].idle[connection] = None

    def busy(self, connection: Counted) -> None:
        """Notes that a connection has a request, or that one has begun to come."""
        if connection in self._idle:
            del self._idle[connection]
            del self._peers[connection.peer].idle[connection]

    def _is_trusted(self, address: str) -> bool:
        proxies = self._limits.trusted_proxies
        return bool(proxies) and any(_is_within(ip_network(address), network) for network in proxies)

    @property
    def _most(self) -> int:
        fixed = self._limits.connections_per_peer
        return max(1, self._limits.connections_max - self.count) if fixed is None else fixed


def _is_within(peer: Network, network: Network) -> bool:
    return peer.version == network.version and peer.subnet_of(network)  # type: ignore[arg-type]


def _made_room(idle: dict[Counted, None]) -> bool:
    """Closes the connection that has been idle for longest."""
    for oldest in idle:
        oldest.end_idle()
        return True
    return False
