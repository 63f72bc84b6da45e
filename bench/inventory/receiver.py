"""A channel that receives stock, in a process of its own: it knows the last item of each SKU, and counts any that went
back to an older quantity. It does as little as that takes, so that it costs hardly anything beside its sender.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from bench.delivery.receiver import OK, serve
from bench.inventory.job import GONE


@dataclass(slots=True)
class ReceivedStock:
    """`stock`: location -> SKU -> its last item. `gone`: when each SKU was first received as out of stock."""

    requests: int = 0
    positions: int = 0
    backwards: int = 0
    stock: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)

    def receive(self, body: bytes, now_ms: float) -> None:
        call = orjson.loads(body)
        known = self.stock.setdefault(call["locationCode"], {})
        self.requests += 1
        self.positions += len(call["inventories"])
        for item in call["inventories"]:
            sku, quantity = item["channelSkuCode"], item["quantity"]
            before = known.get(sku)
            if sku.startswith(GONE):
                self.backwards += before is not None and before["quantity"] < quantity
                if not quantity:
                    self.gone.setdefault(sku, now_ms)
            elif before is not None:
                self.backwards += before["quantity"] > quantity
            known[sku] = item

    def count_anew(self) -> None:
        """Set the counters to 0; the stock stays."""
        self.requests = self.positions = self.backwards = 0
        self.gone = {}


@dataclass(slots=True)
class StockSite:
    received: ReceivedStock = field(default_factory=ReceivedStock)
    latency_s: float = 0.0

    def ask(self, what: str, argument: str) -> bytes:
        received = self.received
        answer: Any = {}
        if what == "/_begin":
            self.received, self.latency_s = ReceivedStock(), float(argument) / 1000
        elif what == "/_anew":
            received.count_anew()
        elif what == "/_stock":
            answer = received.stock
        elif what == "/_gone":
            answer = received.gone
        else:
            answer = {
                "requests": received.requests,
                "positions": received.positions,
                "backwards": received.backwards,
            }
        return orjson.dumps(answer)

    def on_request(self, _head: bytes, body: bytes, _path: bytes) -> bytes:
        self.received.receive(body, time.time() * 1000)
        return OK


if __name__ == "__main__":
    uvloop.run(serve(StockSite(), int(sys.argv[1])))
