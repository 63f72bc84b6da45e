"""A journal in SQLite that reads one record after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select

from journal.store.database import journal_url, open_database
from tests.support.journal.records import BEGIN_MS, Made
from tests.support.journal.store import StoredJournal
from topics.records.deliveries import DeliveryRequest, body_of
from topics.records.envelope import DELIVERY_REQUEST, FACT
from topics.records.keys import lane_key, order_key
from topics.records.reading import MADE_BY

KEY = order_key("demo", "O|1")
LANE = lane_key("increff", KEY)


class Journal:
    """A journal in SQLite; records get the next offsets of partition 0 of their topics."""

    def __init__(self, directory: Path) -> None:
        self.engine = open_database(journal_url("", directory))
        self._stored = StoredJournal(self.engine)
        self._ends: dict[str, int] = {}

    async def begin(self) -> Journal:
        await self._stored.begin()
        return self

    async def read(self, topic: str, key: bytes, value: Any, made: str = "1/0", **headers: str) -> None:
        """Read one record; `made`: epoch and offset of its maker, empty: no role made it."""
        named = {name.replace("_", "-") if name.startswith("sluice") else name: text for name, text in headers.items()}
        all_headers = [(name, text.encode()) for name, text in named.items()]
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        if made:
            all_headers.append((MADE_BY, made.encode()))
        record = Made(topic, 0, key, raw, tuple(all_headers), BEGIN_MS, self._ends.get(topic, 0))
        self._ends[topic] = record.offset + 1
        await self._stored.write([record])

    async def fact(self, name: str, sequence: int, made: str, *, key: bytes = KEY, **members: Any) -> None:
        value = {
            "sequence": sequence,
            "channel": "demo",
            "atMs": BEGIN_MS + sequence,
            "sinceCreatedMs": sequence,
            "orderCode": "O|1",
            "state": "RECEIVED",
            "locationCode": None,
            **members,
        }
        await self.read("orders.events", key, value, made, ce_type=FACT + name, ce_id=f"e{made}.f{sequence}")

    async def request(self, id_: str, made: str, **members: Any) -> None:
        of = {
            "destination": "increff",
            "shard": 0,
            "channel": "demo",
            "touchpoint": "create-outward-order",
            "subject": "O|1",
        }
        body = body_of({"orderCode": "O|1", "onHold": False, "isPriority": "Tom", "shippingAddress": {"name": "Tom"}})
        request = DeliveryRequest(
            **{
                "id": id_,
                "lane": LANE.decode(),
                "entity": KEY.decode(),
                "body": body,
                "story": BEGIN_MS,
                **of,
                **members,
            }
        )
        await self.read("deliveries.requests", LANE, request.encode(), made, ce_type=DELIVERY_REQUEST, ce_id=id_)

    async def rows(self, table: Any, *columns: str) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            found = await connection.execute(select(*(table.c[name] for name in columns)))
        return sorted(tuple(row) for row in found)
