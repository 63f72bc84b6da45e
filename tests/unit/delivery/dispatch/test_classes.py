"""Which request of a destination is next: by class within its budget, and what a relay may pass in its lane."""

from __future__ import annotations

from typing import Any

import pytest

from streams.delivery.ports import Answer
from tests.fakes.delivery import START_MS, ManualClock, Played, channels_for, request_for
from topics.records.deliveries import OutcomeKind

CREATE = "create-outward-order"
UPDATE = "update-order-properties"
HANDOVER = "handover-notification"
SELLER_CANCEL = "seller-cancellation"
READINGS_MAX = 10_000


def create(code: str, request_id: str | None = None) -> Any:
    return request_for(CREATE, code, request_id or code)


def answer(status: int) -> Answer:
    return Answer(status=status, headers={})


async def test_inside_the_budget_a_cancellation_goes_before_a_backlog() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 4, "window_s": 10}})).start()
    worker.give(*(create(f"o{n}") for n in range(40)))
    await worker.clock.run_for(15_000)
    sent = len(worker.sender.arrivals)
    worker.give(request_for("customer-cancellation", "X", "cancel", deadline_ms=worker.clock.now_ms() + 39_000))
    await worker.clock.run_for(12_000)
    assert "cancel" in worker.sender.ids()[sent : sent + 4]


@pytest.mark.parametrize("behind", ["nothing", "a plain update"])
async def test_inside_the_budget_a_release_goes_before_a_backlog_of_creates(behind: str) -> None:
    """Also one behind a plain update of its order, which waits for its own turn otherwise; cancellations go first."""
    worker = await Played(channels_for(increff={"budget": {"requests": 4, "window_s": 10}})).start()
    worker.give(*(create(f"o{n}") for n in range(200)))
    await worker.clock.run_for(15_000)
    sent = len(worker.sender.arrivals)
    update = [request_for(UPDATE, "X", "update")] if behind == "a plain update" else []
    worker.give(*update, request_for(UPDATE, "X", "release", hold=True))
    worker.give(request_for("customer-cancellation", "Y", "cancel", deadline_ms=worker.clock.now_ms() + 39_000))
    await worker.clock.run_for(25_000)
    first = worker.sender.ids()[sent : sent + 5]
    assert [name for name in first if not name.startswith("o")] == [
        "cancel",
        *(["update"] if update else []),
        "release",
    ]


async def test_a_create_does_not_pass_others_by_a_hold_behind_it() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 4, "window_s": 10}})).start()
    worker.give(*(create(f"o{n}") for n in range(40)))
    await worker.clock.run_for(5_000)
    sent = len(worker.sender.arrivals)
    worker.give(create("X", "late"), request_for(UPDATE, "X", "release", hold=True))
    await worker.clock.run_for(9_000)
    assert "late" not in worker.sender.ids()[sent : sent + 3]


async def test_nothing_starves_behind_a_flood_of_a_higher_class() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 10, "window_s": 10}})).start()
    worker.give(request_for("create-return-order", "R", "return"))
    for n in range(60):
        worker.give(*(create(f"o{n}-{m}") for m in range(5)))
        await worker.clock.run_for(1_000)
    assert worker.final()["return"] == "delivered"


async def test_a_relay_passes_a_failing_optional_notification_but_not_a_mandatory_one() -> None:
    worker = await Played(channels_for(marketplace={"retry_first_s": 60})).start()
    worker.sender.far = lambda call, _: answer(200 if call.touchpoint.name == "pack-order" else 500)
    deadline_ms = START_MS + 40_000
    worker.give(request_for("acknowledgement", "A", "ack"))
    worker.give(request_for("pack-order", "A", "pack-a", deadline_ms=deadline_ms))
    worker.give(request_for(SELLER_CANCEL, "B", "cancel"))
    worker.give(request_for("pack-order", "B", "pack-b", deadline_ms=deadline_ms))
    await worker.clock.run_for(39_500)
    assert worker.final() == {"pack-a": "delivered", "pack-b": "expired"}
    [overtaken] = [outcome for outcome in worker.outcomes() if outcome.kind is OutcomeKind.OVERTAKEN]
    assert (overtaken.request, overtaken.touchpoint) == ("ack", "acknowledgement")
    assert (overtaken.by, overtaken.by_touchpoint) == ("pack-a", "pack-order")


async def test_what_a_relay_passes_is_reported_durably_before_it_is_sent_and_once() -> None:
    worker = await Played(channels_for(marketplace={"retry_first_s": 60})).start()
    worker.sender.far = lambda _call, _: answer(500)
    worker.sender.takes_ms = lambda call: 1_000 if call.touchpoint.name == "pack-order" else 5
    worker.give(request_for("acknowledgement", "A", "ack"), request_for(HANDOVER, "A", "hand"))
    worker.give(request_for("pack-order", "A", "pack", deadline_ms=START_MS + 40_000))
    await worker.clock.run_for(3_500)
    assert worker.sender.ids() == ["ack", "pack"], "it is in the air"
    again = await worker.restart()
    await again.clock.run_for(30_000)
    assert again.sender.ids().count("pack") > 2
    overtaken = [outcome for outcome in again.outcomes() if outcome.kind is OutcomeKind.OVERTAKEN]
    assert [(one.request, one.by) for one in overtaken] == [("ack", "pack"), ("hand", "pack")]


class JumpingClock(ManualClock):
    """Time that passes once between two readings: behind the first one after `jump_ms`, by `by_ms`."""

    def __init__(self, jump_ms: int, by_ms: int) -> None:
        super().__init__()
        self._jump_ms = jump_ms
        self._by_ms = by_ms
        self.readings = 0

    def now_ms(self) -> int:
        self.readings += 1
        assert self.readings < READINGS_MAX, "somebody reads the clock for ever"
        now_ms = self._now_ms
        if now_ms > self._jump_ms and self._by_ms:
            self._now_ms += self._by_ms
            self._by_ms = 0
        return now_ms


async def test_a_relay_that_may_pass_while_turns_are_given_is_sent() -> None:
    """The failing notification was due again when the dispatcher read the clock, and the relay when it looked again."""
    clock = JumpingClock(START_MS + 100, 3_000)
    worker = await Played(channels_for(marketplace={"retry_first_s": 1}), clock=clock).start()
    worker.sender.far = lambda call, _: answer(200 if call.touchpoint.name == "pack-order" else 500)
    worker.give(request_for("acknowledgement", "A", "ack"))
    worker.give(request_for("pack-order", "A", "pack", deadline_ms=START_MS + 40_000))
    await worker.clock.run_for(5_000)
    assert worker.final() == {"pack": "delivered"}
    assert worker.crashes == []
