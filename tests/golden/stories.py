"""The golden stories: seeded mixed jobs, and stories of what random calls seldom reach."""

from __future__ import annotations

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
    pack,
    return_body,
    update,
    update_return,
)
from tests.golden.mixed import Job
from tests.golden.world import ADOPTING, ALONE, DEMO, REPLY_TOPIC, STRICT, World, answer_to
from topics.records.deliveries import OutcomeKind
from topics.records.envelope import RETURN_CLAIMED
from topics.records.keys import order_key, return_key

MIXED_JOBS = 8
LINES, SHIPMENTS = 300, 40
_DAY_S = 86_400
_STORE = "AUH-ST-04"
SINGLE, BLOCK = "SINGLE_SHIPMENT_PARTIAL", "BLOCK_COMPLETE"

Tell = Callable[[World], None]


def usual(world: World) -> None:
    """Orders of every channel from the Create to the report of their delivery, each call repeated."""
    for channel in (DEMO, STRICT, ADOPTING, ALONE):
        calls: list[tuple[str, dict[str, Any]]] = [
            ("create-outward-order", create("U")),
            ("acknowledgement", acknowledgement("U")),
            ("pack-order", pack("U", 1, sku_1=2)),
            ("pack-order", pack("U", 2, _STORE, sku_2=1, sku_3=2)),
            ("get-shipping-label", document("U", "S-U-1")),
            ("get-shipping-label", document("U", "S-U-2")),
            ("get-invoice", document("U", "S-U-1")),
            ("create-manifest", manifest({"U": "S-U-1"})),
            ("handover-notification", handover("U", "S-U-1", "S-U-2")),
            ("update-order-properties", update("U", held=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")),
        ]
        for touchpoint, body in calls:
            event = world.send(touchpoint, body, channel=channel)
            world.settle()
            world.send(touchpoint, body, event, channel=channel)
            world.send(touchpoint, body, channel=channel)
            world.settle()
        world.ask(order_key(channel, "U"))
        world.run()


def waiting_callers(world: World) -> None:
    """Callers that join one request, callers behind a Pack, and answers that come too late."""
    world.send("create-outward-order", create("W"))
    world.settle()
    for _ in range(3):
        world.send("pack-order", pack("W", 1, sku_1=1))
    world.send("get-shipping-label", document("W", "S-W-1", shipmentId=1))
    world.send("get-invoice", document("W", "S-W-1"))
    world.send("customer-cancellation", cancels("W", i1=1))
    world.run()
    request = next(world.waiting())
    world.report(request, OutcomeKind.RETRYING, status=500, number=1)
    world.report(request, OutcomeKind.EXPIRED, status=500, message="too late", number=2)
    world.run()
    world.send("pack-order", pack("W", 1, sku_1=1))
    world.run()
    world.report(request, OutcomeKind.DELIVERED, answer_to(request), number=3)
    world.settle()
    world.ask(order_key(DEMO, "W"))
    world.run()


def holds(world: World) -> None:
    """Holds and releases around every step, crossing acknowledgements and refusals."""
    for number, created_held in enumerate((True, False)):
        code = f"H{number}"
        world.send("create-outward-order", create(code, onHold=created_held))
        for held in (True, False, False, True):
            world.send("update-order-properties", update(code, held=held))
            world.run()
        for place, request in enumerate(list(world.waiting())):
            refused = place == 2
            kind = OutcomeKind.REFUSED if refused else OutcomeKind.DELIVERED
            world.report(request, kind, status=400 if refused else 200, message="not now" if refused else "")
            if place == 1:
                world.send("acknowledgement", acknowledgement(code))
        world.settle()
        later = update(code, held=False, dispatchByTime="2025-06-20T18:00:00.000+04:00")
        world.send("update-order-properties", later)
        world.send("update-order-properties", update(code, held=True), said_ms=world.now_ms - 3_600_000)
        world.settle()


def early(world: World) -> None:
    """Events before their Create, in channels that keep, take and refuse them."""
    for channel in (DEMO, ADOPTING, STRICT):
        world.send("acknowledgement", acknowledgement("E"), channel=channel)
        world.send("pack-order", pack("E", 1, sku_1=1), channel=channel)
        world.send("seller-cancellation", cancels("E", i2=1), channel=channel)
        world.send("handover-notification", handover("E", "S-E-1"), channel=channel)
        world.send("create-manifest", manifest({"E": "S-E-1"}, 9), channel=channel)
        world.send("create-return-order", return_body("E", 1), channel=channel)
        world.send("update-order-properties", update("E", held=True), channel=channel)
        world.settle()
        world.send("create-outward-order", create("E"), channel=channel)
        world.settle()
        world.send("create-return-order", return_body("E", 1), channel=channel)
        world.settle()
        world.send("acknowledgement", acknowledgement("GONE"), channel=channel)
        world.later(2 * _DAY_S)
        world.ask(order_key(channel, "E"))
        world.run()


def fulfilment(world: World) -> None:
    """Every fulfillmentType, first and second, in whole and split orders."""
    number = 0
    for split in (False, True):
        for first in (SINGLE, BLOCK, None):
            for second in (SINGLE, BLOCK, None):
                number += 1
                code = f"F{number}"
                changes: dict[str, Any] = {"isSplitRequired": True, "locationCode": None} if split else {}
                world.send("create-outward-order", create(code, **changes))
                world.settle()
                if number % 2:
                    world.send("customer-cancellation", cancels(code, i1=1))
                world.send("pack-order", pack(code, 1, kind=first, sku_1=1))
                world.settle()
                world.send("pack-order", pack(code, 2, _STORE, second, sku_1=1, sku_2=1, sku_3=2))
                world.settle()


def returns(world: World) -> None:
    """Returns: asked, admitted, denied, refused, added to, cancelled, inspected, and of unknown orders."""
    world.send("create-outward-order", create("R"))
    world.settle()
    world.send("pack-order", pack("R", 1, sku_1=2, sku_2=1))
    world.settle()
    world.send("handover-notification", handover("R", "S-R-1"))
    world.settle()
    world.send("create-return-order", return_body("R", 1, 2))
    world.send("create-return-order", return_body("R", 1, 2))
    world.run()
    request = next(world.waiting())
    world.report(request, OutcomeKind.REFUSED, status=400, message="SKU-1 is not mapped")
    world.run()
    world.resubmit(request, dry=True)
    world.resubmit(request)
    world.settle()
    for touchpoint, body in (
        ("add-return-order-items", added_items("R", 4)),
        ("add-return-order-items", added_items("R", 4, 6, 8)),
        ("update-returns", update_return("R", "T-1")),
        ("update-returns", update_return("R", "T-1")),
        ("cancel-return-order-items", cancelled_items("R", 2)),
        ("return-order-acknowledgement", inspection("R", "PASS", 1)),
        ("return-order-acknowledgement", inspection("R", "FAIL", 1)),
        ("return-order-acknowledgement", inspection("R", "PASS", 4)),
        ("cancel-return-order-items", cancelled_items("R", 1)),
    ):
        world.send(touchpoint, body)
        world.settle()
    for channel in (DEMO, ADOPTING, STRICT):
        world.send("create-return-order", return_body("NOBODY", 1), channel=channel)
        world.send("return-order-acknowledgement", inspection("NOBODY2", "PASS", 1), channel=channel)
        world.settle()
    world.send("create-return-order", return_body("LATE", 1))
    world.run()
    for request in list(world.waiting()):
        world.report(request, OutcomeKind.REFUSED, status=400, message="no such order")
    world.send("return-order-acknowledgement", inspection("LATE", "PASS", 1))
    world.settle()
    world.lost = {RETURN_CLAIMED}
    world.send("create-return-order", return_body("U", 1))
    world.run()
    for _ in range(12):
        world.later(2_000)
    world.lost = set()
    world.send("create-return-order", return_body("U", 1))
    world.settle()
    world.ask(return_key(DEMO, "R-R"))
    world.ask(order_key(DEMO, "R"))
    world.run()


def cancelled(world: World) -> None:
    """Orders and returns that are cancelled whole, cancellations that Increff refuses, and a rejected order revived."""
    for code in ("K0", "K1", "K2"):
        world.send("create-outward-order", create(code))
        world.settle()
    world.send("customer-cancellation", cancels("K0", i1=2, i2=1))
    world.settle()
    world.send("seller-cancellation", cancels("K0", i3=2))
    world.send("seller-cancellation", cancels("K0", i3=2))
    world.send("pack-order", pack("K0", 1, sku_1=1))
    world.settle()
    world.send("customer-cancellation", cancels("K1", i1=1))
    world.send("customer-cancellation", cancels("K1", i1=1))
    world.run()
    for request in list(world.waiting()):
        world.report(request, OutcomeKind.REFUSED, {"errorMessage": "packed already"}, status=400, message="packed")
    world.run()
    world.send("pack-order", pack("K2", 1, sku_1=2, sku_2=1, sku_3=2))
    world.settle()
    world.send("create-return-order", return_body("K2", 2, 4))
    world.settle()
    world.send("cancel-return-order-items", cancelled_items("K2", 2))
    world.settle()
    world.send("cancel-return-order-items", cancelled_items("K2", 4))
    world.settle()
    world.send("create-outward-order", create("K3"))
    world.run()
    for request in list(world.waiting()):
        world.report(request, OutcomeKind.REFUSED, status=400, message="SKU-1 is not mapped")
    world.run()
    world.send("acknowledgement", acknowledgement("K3"))
    world.settle()
    world.send("handover-notification", handover("K4", "S-K4-1"))
    world.send("seller-cancellation", cancels("K4", i9=1))
    world.run()
    world.send("create-outward-order", create("K4"))
    world.settle()
    world.send("create-outward-order", create("K5"))
    world.settle()
    world.send("customer-cancellation", cancels("K5", i1=1))
    world.send("pack-order", pack("K5", 1, sku_1=1))
    parted = {"cancelledQuantity": 1, "customerCancelledQty": 0, "sellerCancelledQty": 1}
    item = {"orderItemCode": "I1", "channelSkuCode": "SKU-1", **parted}
    world.send("seller-cancellation", {**cancels("K5", i1=1), "orderItems": [item]})
    world.settle()
    for code in ("K0", "K1", "K2", "K3", "K4", "K5"):
        world.ask(order_key(DEMO, code))
    world.run()


def resubmitted(world: World) -> None:
    """Refused requests of every touchpoint that no caller waits for, sent again by an operator."""
    world.send("create-outward-order", create("N0"))
    world.send("create-outward-order", create("N1", onHold=True))
    world.run()
    for touchpoint, body in (
        ("", {}),
        ("update-order-properties", update("N0", held=True)),
        ("acknowledgement", acknowledgement("N0")),
        ("seller-cancellation", cancels("N0", i1=1)),
    ):
        if touchpoint:
            world.send(touchpoint, body)
            world.run()
        refused = list(world.waiting())
        for request in refused:
            world.report(request, OutcomeKind.REFUSED, {"errorMessage": "no"}, status=400, message="not mapped")
        world.run()
        if touchpoint == "":
            world.send("create-outward-order", create("N0"))
            world.send("create-outward-order", create("N1", quantities=(1,)))
            world.run()
        for request in refused:
            world.resubmit(request, dry=True)
            world.resubmit(request)
            world.resubmit(request)
        world.settle()
    world.tell_refused("N0", "told-1", count=3)
    world.tell_refused("N0", "told-2", status=None, code="BAD_ENVELOPE", reason="header ce_id is missing")
    world.send("pack-order", pack("N0", 1, sku_3=9))
    world.send("pack-order", pack("NOT-THERE", 1, sku_1=1))
    world.ask(order_key(DEMO, "N0"))
    world.ask(order_key(DEMO, "NOT-THERE"))
    world.run()


def given_up(world: World) -> None:
    """Requests that are dead, superseded, overtaken, and deliveries that come to an end long after."""
    world.send("create-outward-order", create("G"))
    world.settle()
    world.send("acknowledgement", acknowledgement("G"))
    world.send("pack-order", pack("G", 1, sku_1=1))
    world.send("update-order-properties", update("G", held=True))
    world.run()
    for request in list(world.waiting()):
        world.report(request, OutcomeKind.RETRYING, status=None, error="connection refused")
        world.report(request, OutcomeKind.OVERTAKEN, status=None, by="other.0")
        kind = OutcomeKind.SUPERSEDED if request.touchpoint == "update-order-properties" else OutcomeKind.DEAD
        world.report(request, kind, status=503, message="no answer", number=12)
    world.run()
    world.send("pack-order", pack("G", 1, sku_1=1))
    world.run()
    world.later(4 * _DAY_S)
    world.send("pack-order", pack("G", 1, sku_1=1))
    world.settle()
    world.later(40 * _DAY_S)


def time_passes(world: World) -> None:
    """Orders that get stuck at each step, expire and are forgotten; calls of forgotten ones."""
    steps: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
        ("create-outward-order", create),
        ("acknowledgement", acknowledgement),
        ("pack-order", lambda code: pack(code, 1, sku_1=2, sku_2=1, sku_3=2)),
        ("get-shipping-label", lambda code: document(code, f"S-{code}-1")),
        ("handover-notification", lambda code: handover(code, f"S-{code}-1")),
    ]
    for channel in (DEMO, ALONE):
        for done in range(len(steps) + 1):
            for touchpoint, body in steps[:done]:
                world.send(touchpoint, body(f"T{done}"), channel=channel)
                world.settle()
        world.send("create-outward-order", create("T-OUT"), channel=channel)
    for seconds in (60, 700, 1_300, 4_000, 40_000, _DAY_S, 3 * _DAY_S, 30 * _DAY_S, 91 * _DAY_S):
        world.later(seconds)
    world.settle()
    world.send("create-outward-order", create("T5"))
    world.send("handover-notification", handover("T4", "S-T4-1"))
    world.settle()


def direct_producers(world: World) -> None:
    """Records of producers that are no gateway: other forms, other keys, other partitions, reply topics."""
    for number, partition in enumerate((None, 0, 1, 2, 3)):
        body = create(f"P{number}", gift="true", onHold="false", orderTime="2025-06-14T09:12:41+04:00")
        world.direct("create-outward-order", body, partition=partition, key=b"whatever" if number % 2 else None)
    world.direct("create-outward-order", create("P5"), reply_topic=REPLY_TOPIC)
    world.direct("create-outward-order", create("P6"), reply_topic="sluice.replies.unheard.v1")
    world.direct("create-outward-order", create("P7", orderCode="", key_of="P7"), key=b"P7")
    world.direct("create-outward-order", create("P8", quantities=(1, 0)))
    world.direct("pack-order", pack("P0", 1, sku_1=1), "x" * 901)
    world.direct("pack-order", pack("P0", 1, sku_1=1))
    world.direct("create-outward-order", {**create("P9"), "orderCustomAttributes": {"a": 12345678901234567890.5}})
    world.settle()
    world.ask(order_key(DEMO, "P0"))
    world.ask(order_key(DEMO, "P9"))
    world.run()


def large(world: World) -> None:
    """A B2B order of some hundred lines in dozens of shipments from several places; parts are cancelled, returned."""
    quantities = tuple(1 + n % 5 for n in range(LINES))
    world.send("create-outward-order", create("BIG", quantities, orderType="B2B", packType="BULK"))
    world.settle()
    world.send("customer-cancellation", cancels("BIG", **{f"i{n}": 1 for n in range(5, 60, 5)}))
    world.send("seller-cancellation", cancels("BIG", **{f"i{n}": 1 for n in range(64, 140, 5)}))
    world.settle()
    per_shipment = LINES // SHIPMENTS
    for number in range(SHIPMENTS):
        place = f"WH-{number % 3}"
        if number < 3:
            world.send("acknowledgement", acknowledgement("BIG", place))
        lines = range(1 + number * per_shipment, 1 + (number + 1) * per_shipment)
        world.send("pack-order", pack("BIG", number + 1, place, None, **{f"sku_{n}": 1 for n in lines}))
        world.settle()
        name = f"S-BIG-{number + 1}"
        world.send("get-shipping-label", document("BIG", name))
        world.send("get-invoice", document("BIG", name))
        world.settle()
        if number % 8 == 7:
            world.send("pack-order", pack("BIG", number + 1, place, None, **{f"sku_{n}": 1 for n in lines}))
            world.send("create-manifest", manifest({"BIG": name}, 100 + number))
            world.send("handover-notification", handover("BIG", *[f"S-BIG-{n}" for n in range(number - 6, number + 2)]))
            world.settle()
    world.send("create-return-order", return_body("BIG", *range(1, 40)))
    world.settle()
    world.send("create-outward-order", create("BIG", quantities, orderType="B2B", packType="BULK"))
    world.send("create-outward-order", create("BIG", (*quantities[1:], 9), orderType="B2B", packType="BULK"))
    world.ask(order_key(DEMO, "BIG"))
    world.settle()


STORIES: dict[str, Tell] = {
    "usual": usual,
    "waiting-callers": waiting_callers,
    "holds": holds,
    "early": early,
    "fulfilment": fulfilment,
    "returns": returns,
    "cancelled": cancelled,
    "resubmitted": resubmitted,
    "given-up": given_up,
    "time": time_passes,
    "direct": direct_producers,
    "large": large,
    **{f"mixed-{seed}": Job(seed).tell for seed in range(MIXED_JOBS)},
}
