"""The only code that makes a record key or chooses a partition.

Keys are parts joined by `|`. Every part is escaped (`%` -> `%25`, `|` -> `%7C`), so no code that a caller
chooses can collide with another key. Partitions are chosen by murmur2, as by the Java client's default partitioner.
"""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from

_KEPT = 16_384
"""Keys and hashes that are cached, some 3 MB of each: one event needs those of its order several times."""

_MURMUR, _MURMUR_SEED, _WORD = 0x5BD1E995, 0x9747B28C, 0xFFFFFFFF

TICK_KEY = b"~tick"
"""Key of ticks on orders.commands: a tick belongs to no entity, and names its partition itself."""
INCREFF = "increff"
"""Increff is one destination, because its request budget is one pool for all endpoints (contract 0.3)."""


def escape(part: str) -> str:
    return part.replace("%", "%25").replace("|", "%7C") if "%" in part or "|" in part else part


def unescape(part: str) -> str:
    return part.replace("%7C", "|").replace("%25", "%") if "%" in part else part


def join(*parts: str) -> bytes:
    return "|".join([escape(part) for part in parts]).encode()


def split(key: bytes) -> tuple[str, ...]:
    """The parts a key was joined from."""
    return tuple([unescape(part) for part in key.decode().split("|")])


@lru_cache(maxsize=_KEPT)
def order_key(channel: str, order_code: str) -> bytes:
    return join(channel, order_code)


def return_key(channel: str, return_order_code: str) -> bytes:
    """Returns have their own key: Update Returns does not carry the forward order (contract 17)."""
    return join(channel, "return", return_order_code)


def manifest_key(channel: str, manifest: str) -> bytes:
    """A manifest spans orders, so it is an entity of its own."""
    return join(channel, "manifest", manifest)


LEVELS_MAX = 12
"""Levels of changes of a value that is written in parts. A change takes at most half of the bytes of what it is of, so
that is more than the largest record has room for."""
_CHANGE = b"%~"
"""Between the key of an entity and the level of a change. No key has it: `escape` leaves no other `%` than in `%25` and
`%7C`."""
_LEVELS = {b"%d" % level: level for level in range(1, LEVELS_MAX + 1)}


def change_key(key: bytes, level: int) -> bytes:
    """The key of a change's record, on a topic whose values are written in parts."""
    return b"%b%b%d" % (key, _CHANGE, level)


def is_change_key(key: bytes) -> bool:
    """Whether a key may be one that `change_key` made: one look, for the many that are none."""
    return _CHANGE in key


def level_of(key: bytes) -> tuple[bytes, int]:
    """The key of the entity that a record is about, and the level of its change; 0: the record is no change."""
    at = key.rfind(_CHANGE)
    if at < 0:
        return key, 0
    level = _LEVELS.get(key[at + len(_CHANGE) :], 0)
    return (key[:at], level) if level else (key, 0)


def stock_key(channel: str, location: str) -> bytes:
    return join(channel, location)


def position_key(channel: str, location: str, sku: str) -> bytes:
    return join(channel, location, sku)


def channel_destination(channel: str) -> str:
    return f"channel:{channel}"


SUBSCRIPTION = "subscription:"
"""Prefix of a subscription's destination."""


def subscription_destination(subscription: str) -> str:
    return SUBSCRIPTION + subscription


def subscription_of(destination: str) -> str | None:
    """The subscription of a destination; None for a far side."""
    return destination.removeprefix(SUBSCRIPTION) if destination.startswith(SUBSCRIPTION) else None


@lru_cache(maxsize=_KEPT)
def lane_key(destination: str, entity_key: bytes) -> bytes:
    """A lane is (destination, order): strict first-in-first-out inside it, independent of every other lane."""
    return join(destination, entity_key.decode())


SEPARATOR = b"||"
"""Between lane and request id in the key of a waiting request. No part of a key is empty, so no other key has it."""


def header_key(lane: str) -> bytes:
    """The key of a lane's header on deliveries.outbox."""
    return lane.encode()


def entry_key(lane: str, request_id: str) -> bytes:
    """The key of a waiting request on deliveries.outbox."""
    return lane.encode() + SEPARATOR + escape(request_id).encode()


def is_entry_key(key: bytes) -> bool:
    return SEPARATOR in key


def names_of_entry_key(key: bytes) -> tuple[str, str]:
    """Lane and request id of an entry's key."""
    lane, _, request = key.partition(SEPARATOR)
    return lane.decode(), split(request)[0]


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among `partitions`, as the Java client's default partitioner chooses it."""
    return _positive_hash(key) % partitions


@lru_cache(maxsize=_KEPT)
def _positive_hash(key: bytes) -> int:
    """The hash without its sign, as in the Java client's Utils."""
    return murmur2(key) & 0x7FFFFFFF


def murmur2(key: bytes) -> int:
    """The hash by which clients of Kafka choose a partition. aiokafka's takes half as long again, and each new order
    needs one in the gateway and in the orders role."""
    size = len(key)
    found = _MURMUR_SEED ^ size
    for word in unpack_from(f"<{size >> 2}I", key):
        mixed = word * _MURMUR & _WORD
        found = (found * _MURMUR & _WORD) ^ ((mixed ^ mixed >> 24) * _MURMUR & _WORD)
    if size & 3:
        found = (found ^ int.from_bytes(key[size & ~3 :], "little")) * _MURMUR & _WORD
    found = (found ^ found >> 13) * _MURMUR & _WORD
    return found ^ found >> 15


def shard_of(entity_key: bytes, shards: int) -> int:
    """The shard of a destination that an order or a stock location belongs to."""
    return partition_of(entity_key, shards)


@lru_cache(maxsize=_KEPT)
def destination_partition(destination: str, shard: int, partitions: int) -> int:
    """The one partition that holds a shard of a destination: its lanes, its stock and its share of the budget."""
    return partition_of(join(destination, str(shard)), partitions)


def stock_partition(channel: str, key: bytes, shards: int, partitions: int) -> int:
    """The partition that owns a location's stock, by its key and the shards of its channel."""
    return destination_partition(channel_destination(channel), shard_of(key, shards), partitions)
