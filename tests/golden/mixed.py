"""Seeded mixed jobs: whatever callers, far sides, operators and Kafka may do to a few orders, in any order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.golden.bodies import (
    acknowledgement,
    added_items,
    cancelled_items,
    cancels,
    create,
    document,
    handover,
    inspection,
    manifest,
    other_forms,
    pack,
    return_body,
    update,
    update_return,
)
from tests.golden.world import ADOPTING, ALONE, DEMO, REPLY_TOPIC, STRICT, World, answer_to
from tests.support.orders_log import PARTITIONS
from topics.records.deliveries import DeliveryRequest, OutcomeKind
from topics.records.envelope import COMMAND
from topics.records.keys import order_key, return_key

STEPS = 400
CODES = ("A", "B", "C|%", "D")
SHIPMENTS = (1, 2, 3)
_CHANNELS = (DEMO, DEMO, DEMO, STRICT, ADOPTING, ALONE)
_FULFILMENT = (None, None, None, "SINGLE_SHIPMENT_PARTIAL", "BLOCK_COMPLETE", "PARTIAL")
_LOCATIONS = ("DXB-WH-01", "DXB-WH-01", "AUH-ST-04")
_OUTCOMES = [*[OutcomeKind.DELIVERED] * 20, *OutcomeKind]
_MESSAGES = ("SKU-1 is not mapped", "order already exists", "")
COURSE: tuple[tuple[str, Callable[[str], dict[str, Any]]], ...] = (
    ("create-outward-order", create),
    ("acknowledgement", acknowledgement),
    ("pack-order", lambda code: pack(code, 1, sku_1=2)),
    ("pack-order", lambda code: pack(code, 2, _LOCATIONS[-1], sku_2=1, sku_3=2)),
    ("get-shipping-label", lambda code: document(code, f"S-{code}-1", shipmentId=1)),
    ("get-invoice", lambda code: document(code, f"S-{code}-2")),
    ("create-manifest", lambda code: manifest({code: f"S-{code}-1"}, None)),
    ("handover-notification", lambda code: handover(code, f"S-{code}-1", f"S-{code}-2")),
    (
        "update-order-properties",
        lambda code: update(code, held=False, orderStatus="DELIVERED", deliveredAt="2025-06-17"),
    ),
    ("create-return-order", lambda code: return_body(code, 1, 2)),
    ("update-returns", lambda code: update_return(code, "T-1")),
    ("return-order-acknowledgement", lambda code: inspection(code, "PASS", 1, 2)),
)
_PAUSES_S = (0.1, 1, 5, 30, 700, 4_000, 90_000, 10 * 86_400, 95 * 86_400)
_PAUSE_WEIGHTS = (20, 20, 20, 10, 4, 3, 2, 1, 1)


class Job:
    """One seed's job."""

    def __init__(self, seed: int, steps: int = STEPS) -> None:
        self._random = random.Random(seed)
        self._steps = steps
        self._sent: list[tuple[str, dict[str, Any], str, str]] = []
        self._refused: list[DeliveryRequest] = []
        self._done: Counter[tuple[str, str]] = Counter()

    def tell(self, world: World) -> None:
        for _ in range(self._steps):
            draw = self._random.random()
            if draw < 0.50:
                self._call(world)
            elif draw < 0.80:
                self._report(world)
            elif draw < 0.84:
                world.later(self._random.choices(_PAUSES_S, _PAUSE_WEIGHTS)[0])
            elif draw < 0.88:
                self._repeat(world)
            elif draw < 0.91:
                self._disturb(world)
            elif draw < 0.94 and self._refused:
                world.resubmit(self._random.choice(self._refused), dry=self._random.random() < 0.2)
            elif draw < 0.97:
                self._ask(world)
            else:
                self._nonsense(world)
            if self._random.random() < 0.8:
                world.run()
        world.settle()
        for key in sorted(world.keys):
            if b"|" in key:
                world.ask(key)
        world.run()

    def _call(self, world: World) -> None:
        channel, code = self._random.choice(_CHANNELS), self._random.choice(CODES)
        usual = self._random.random() < 0.5
        touchpoint, body = self._next_call(channel, code) if usual else self._any_call(code)
        draw = self._random.random()
        if draw < 0.75:
            event = world.send(touchpoint, body, channel=channel)
        elif draw < 0.85:
            event = world.direct(touchpoint, other_forms(body), channel=channel)
        elif draw < 0.90:
            topic = REPLY_TOPIC if self._random.random() < 0.8 else "nobody.reads.it"
            event = world.direct(touchpoint, body, channel=channel, reply_topic=topic)
        elif draw < 0.95:
            event = world.direct(touchpoint, body, channel=channel, key=b"any", awaited=True)
        else:
            event = world.send(touchpoint, body, channel=channel, said_ms=world.now_ms - 60_000)
        self._sent.append((touchpoint, body, channel, event))

    def _next_call(self, channel: str, code: str) -> tuple[str, dict[str, Any]]:
        """The next call of an order's usual course, which begins anew at its end."""
        done = self._done[channel, code]
        self._done[channel, code] += 1
        touchpoint, make = COURSE[done % len(COURSE)]
        return touchpoint, make(code)

    def _any_call(self, code: str) -> tuple[str, dict[str, Any]]:
        pick = self._random.choice
        other = pick(CODES)
        shipment, place = pick(SHIPMENTS), pick(_LOCATIONS)
        name = f"S-{code}-{shipment}"
        units = {f"sku_{n}": pick((1, 1, 2)) for n in self._random.sample((1, 2, 3), pick((1, 2)))}
        items = {f"i{n}": pick((0, 1, 2)) for n in self._random.sample((1, 2, 3), pick((1, 2)))}
        returned = self._random.sample((1, 2, 3, 4), pick((1, 2)))
        calls: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("create-outward-order", lambda: create(code)),
            ("create-outward-order", lambda: create(code)),
            ("create-outward-order", lambda: create(code, gift=True)),
            ("create-outward-order", lambda: create(code, onHold=True)),
            ("create-outward-order", lambda: create(code, isSplitRequired=True, locationCode=None)),
            ("update-order-properties", lambda: update(code, held=pick((True, False)))),
            (
                "update-order-properties",
                lambda: update(code, held=False, orderStatus="DELIVERED", deliveredAt="2025-06-17"),
            ),
            ("acknowledgement", lambda: acknowledgement(code, pick((*_LOCATIONS, None)))),
            ("pack-order", lambda: pack(code, shipment, place, pick(_FULFILMENT), **units)),
            ("pack-order", lambda: pack(code, shipment, place, pick(_FULFILMENT), **units)),
            ("get-shipping-label", lambda: document(code, name, shipmentId=shipment)),
            ("get-invoice", lambda: document(code, name)),
            ("create-manifest", lambda: manifest({code: name, other: f"S-{other}-{shipment}"}, pick((7, 8, None)))),
            ("handover-notification", lambda: handover(code, name, f"S-{code}-{pick(SHIPMENTS)}")),
            ("seller-cancellation", lambda: cancels(code, **items)),
            ("customer-cancellation", lambda: cancels(code, **items)),
            ("create-return-order", lambda: return_body(code, *returned)),
            ("add-return-order-items", lambda: added_items(code, pick((3, 4, 5)))),
            ("update-returns", lambda: update_return(code, pick(("T-1", "T-2")))),
            ("cancel-return-order-items", lambda: cancelled_items(code, *returned)),
            ("return-order-acknowledgement", lambda: inspection(code, pick(("PASS", "FAIL")), *returned)),
        ]
        touchpoint, make = pick(calls)
        return touchpoint, make()

    def _report(self, world: World) -> None:
        waiting = list(world.waiting())
        if not waiting:
            return
        request = self._random.choice(waiting[:6])
        kind = self._random.choice(_OUTCOMES)
        message = self._random.choice(_MESSAGES)
        if kind is OutcomeKind.DELIVERED:
            world.report(request, kind, answer_to(request))
        elif kind is OutcomeKind.OVERTAKEN:
            world.report(request, kind, status=None, by=f"{request.id}x")
        elif kind is OutcomeKind.RETRYING:
            for number in range(1, self._random.choice((1, 2, 12)) + 1):
                status = self._random.choice((None, 500, 429))
                world.report(request, kind, status=status, number=number, error="" if status else "timed out")
        else:
            status = self._random.choice((400, 404, 500, None))
            body = self._random.choice((None, {"errorMessage": message, "n": 10.0, "price": 1.50}))
            world.report(request, kind, body, status=status, message=message, number=2)
            if kind is OutcomeKind.REFUSED:
                self._refused.append(request)

    def _repeat(self, world: World) -> None:
        """A caller's repeat under another id, or a producer's of the very record."""
        if self._sent:
            touchpoint, body, channel, event = self._random.choice(self._sent[-12:])
            world.send(touchpoint, body, event if self._random.random() < 0.4 else "", channel=channel)

    def _disturb(self, world: World) -> None:
        """The process dies at one of the steps between effects and offset; Kafka delivers again."""
        partition = self._random.randrange(PARTITIONS)
        if world.committed[partition] < len(world.records[partition]):
            world.crash_after_effects(partition)
        else:
            world.crash_before_commit(partition, self._random.choice((1, 3, 9)))

    def _ask(self, world: World) -> None:
        code, channel = self._random.choice(CODES), self._random.choice(_CHANNELS)
        if self._random.random() < 0.3:
            world.tell_refused(code, channel=channel, status=self._random.choice((400, 404, None)))
        world.ask(self._random.choice((order_key(channel, code), return_key(channel, f"R-{code}"))))

    def _nonsense(self, world: World) -> None:
        code = self._random.choice(CODES)
        key, good = order_key(DEMO, code), COMMAND + "create-outward-order"
        values: list[tuple[bytes, str, str]] = [
            (b"{broken", good, DEMO),
            (b"[]", good, DEMO),
            (b'{"orderCode":1e400}', good, DEMO),
            (b"{}", good, "nobody"),
            (b"{}", COMMAND + "unheard-of", DEMO),
            (b"{}", COMMAND + "delivery-outcome", DEMO),
            (b'{"orderCode":"A","acknowledged":"yes"}', COMMAND + "acknowledgement", DEMO),
            (b'{"a":' * 70 + b"1" + b"}" * 70, good, DEMO),
        ]
        value, type_, channel = self._random.choice(values)
        world.raw(key, value, type_, channel)
