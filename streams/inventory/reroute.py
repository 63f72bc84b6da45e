"""PURE: records in a wrong partition are sent on to the right one, without ever putting old after new.

A crash between sending a record on and committing its source offset sends it on again, perhaps behind newer stock. So
the target keeps, per origin partition and stock key, how far it has applied (`Applied`), and skips what is not newer.
The target also keeps which records it skipped: when Kafka delivers such a record again after a crash of the target, the
newest origin offset may have moved on, and only the record's own offset tells whether it was applied or skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson

from streams.runtime.role import Poison
from topics.records.envelope import ReadHeaders
from topics.records.json_record import decode_stored
from topics.records.keys import join
from topics.stock.positions import ORIGIN

ORIGIN_HEADER = "sluice-origin"
"""Partition and offset from which a record was sent on, `<partition>/<offset>`."""
SKIPPED_MAX = 1_000
"""Skipped records remembered per origin and stock key: more than one crash repeats for one location."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The partition and offset that a record was sent on from."""

    partition: int
    offset: int

    def key(self, stock: bytes) -> bytes:
        return join(ORIGIN, str(self.partition), stock.decode())

    def header(self) -> tuple[str, bytes]:
        return ORIGIN_HEADER, b"%d/%d" % (self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Applied:
    """The newest origin offset that was applied, and the own offsets of skipped records."""

    offset: int = -1
    skipped: tuple[int, ...] = ()

    def is_newer(self, origin: Origin) -> bool:
        return origin.offset > self.offset

    def and_applied(self, origin: Origin) -> Applied:
        return replace(self, offset=origin.offset)

    def and_skipped(self, own_offset: int) -> Applied:
        return replace(self, skipped=(*self.skipped, own_offset)[-SKIPPED_MAX:])

    def encode(self) -> bytes:
        return orjson.dumps({"offset": self.offset, "skipped": self.skipped})


def decode_applied(raw: bytes | None) -> Applied:
    """Raises UnreadableError."""
    return Applied() if raw is None else decode_stored(raw, Applied, has="offset")


def origin_of(headers: ReadHeaders) -> Origin | None:
    """None for a record that was not sent on. Raises Poison."""
    raw = next((value for name, value in headers if name == ORIGIN_HEADER), None)
    if not raw:
        return None
    try:
        partition, offset = raw.split(b"/")
        return Origin(int(partition), int(offset))
    except ValueError as error:
        raise Poison("bad_envelope", f"header {ORIGIN_HEADER} is not <partition>/<offset>: {raw[:40]!r}") from error
