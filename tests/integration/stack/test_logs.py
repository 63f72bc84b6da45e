"""The logs of all roles: one shape, nothing at level error after a clean start, and an outage of Kafka is two lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stack import Stack, create_order
from tests.support.eventually import eventually
from tests.support.logs.lines import CANARY, marked, read_lines

ROLES = ("gateway", "orders", "delivery", "inventory", "journal")
AWAY, BACK = "kafka-away", "kafka-back"
BUSY = ("stood still", "this process was late itself")
"""In lines of a gateway that got no time from a busy machine: they say nothing of Kafka."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack(tmp_path_factory.mktemp("logs") / "data")
    started.start()
    yield started
    started.close()


def lines_of(stack: Stack, role: str) -> list[dict[str, Any]]:
    return read_lines([(stack.data_dir / "logs" / f"{role}.log").read_bytes()])


def counted(stack: Stack, event: str) -> dict[str, int]:
    return {role: sum(line["event"] == event for line in lines_of(stack, role)) for role in ROLES}


async def test_a_clean_start_has_no_errors(stack: Stack) -> None:
    for role in ROLES:
        lines = lines_of(stack, role)
        assert {line["role"] for line in lines} == {role}
        assert [line for line in lines if line["level"] in ("error", "critical")] == []


async def test_the_way_of_an_order_is_found_by_its_code_or_id(stack: Stack) -> None:
    code = "WAY-1"
    answer = await stack.as_marketplace("POST", "/orders/outward", marked(create_order(code)))
    again = await stack.as_marketplace("POST", "/orders/outward", marked(create_order(code)))
    assert (answer.status, again.status) == (200, 200)
    events = [answer.headers["Sluice-Event-Id"], again.headers["Sluice-Event-Id"]]
    wanted = {"gateway": ("request", events), "orders": ("decision", events[1:]), "delivery": ("attempt", events[:1])}

    def found() -> dict[str, tuple[str, list[str]]]:
        named = {role: [line for line in lines_of(stack, role) if line.get("subject") == code] for role in wanted}
        return {
            role: (event, [line["event_id"] for line in named[role] if line["event"] == event])
            for role, (event, _) in wanted.items()
        }

    await eventually(lambda: found() == wanted, what=lambda: str(found()))
    for log in (stack.data_dir / "logs").glob("*.log"):
        assert CANARY not in log.read_text(errors="replace"), log.name


async def test_an_outage_of_kafka_is_a_line_when_it_begins_and_one_when_it_ends(stack: Stack) -> None:
    before = {role: len(lines_of(stack, role)) for role in ROLES}
    dead = stack.kill("kafka")
    await stack.restarted("kafka", dead)

    def told_since() -> dict[str, list[dict[str, Any]]]:
        return {role: lines_of(stack, role)[before[role] :] for role in ROLES}

    def is_over() -> bool:
        return all(
            any(line["event"] == BACK or line["level"] == "critical" for line in told) for told in told_since().values()
        )

    await eventually(is_over, 60, what=lambda: str(counted(stack, BACK)))
    await eventually(lambda: stack.status()["ready"], 60)
    for told in told_since().values():
        if any(line["level"] == "critical" for line in told):
            continue  # a worker ends when a broker that starts does not know its topics yet, and its end has a line
        said = [line for line in told if line["level"] != "info" or line["event"] == BACK]
        said = [line for line in said if not any(busy in line.get("message", "") for busy in BUSY)]
        assert Counter(line["event"] for line in said) == {AWAY: 1, BACK: 1}, "\n".join(map(str, said))
