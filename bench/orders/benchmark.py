"""`sluice bench orders`: what the rules of orders cost, in two parts.

`usual`: events/s and CPU of the orders role, all rules on, beside the trivial job of `sluice bench runtime`. Both run
on Sluice's runtime, as processes of their own, in turns on one Kafka, from topics that are filled before. The ratio
says what the rules cost. Every output record is checked: facts without gaps, verdicts, requests, none set aside. Beside
it: what one of these orders writes to orders.state when each of its events is a group, which is counted without Kafka.

`large`: the events of one order of many lines and shipments (bench.orders.large).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from bench.orders.job import ExpectedOutputs, events_of, expected, input_of, interleaved, state_written
from bench.orders.large import costs
from bench.processes import (
    cpu_text,
    demo,
    machine,
    memory_mib,
    places,
    quiet_client,
    records_of,
    running,
    sayer,
    scratch_kafka,
)
from bench.runtime.benchmark import OURS, Place, Run, run_one
from bench.runtime.job import PARTITIONS, SOURCE, fill, full_name, make_topics
from bench.runtime.watch import watch
from topics.compiled import FORM
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create
from topics.records.keys import partition_of
from topics.records.verdicts import decode_reply

ORDERS_PER_SECOND = 1_000
"""Orders for each second of `--seconds`, so that a turn takes about that long."""
ORDERS_MIN = 2_000
TRIVIAL_PER_SECOND = 30_000
TRIVIAL_MIN = 50_000
ROUNDS = 2
"""Turns of each side; the best of each counts, because disturbances only make a turn slower."""
GOAL = 0.25
"""Share of the events/s of the trivial job."""
CPU_GOAL_US = {"compiled": 85.0, "interpreted": 140.0}
"""CPU of the orders role for an event, by the form in which it runs."""
LARGE = (2_500, 50)
"""Lines and shipments of the large order that has goals."""
LARGE_GOAL_MS, LARGE_GOAL_MB = 0.3, 5.0
"""CPU of each of its events, and bytes of all changelogs for all of them."""
HOLD_GOAL_MS = 5.0
"""Longest stretch in which an event of an order of any size leaves nothing else the loop."""
_OUTPUTS = ("orders.events", "replies", "deliveries.requests")
_LINGER_MS = 5


@dataclass(frozen=True, slots=True)
class OrdersWork:
    """The events of one turn of the orders role, and the expected outputs."""

    orders: int
    events: int
    expected: ExpectedOutputs


PARTS: Mapping[str, str] = {"usual": "many small orders, on Kafka", "large": "one order of many lines, without Kafka"}


def main(seconds: float, as_json: bool, parts: Sequence[str] = ()) -> int:
    """Return 0 when the outputs are right and the goals were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    result: dict[str, Any] = {"bench": "orders", "form": form(), "machine": machine(), "met": True}
    if "large" in (parts or PARTS):
        large = _large()
        result |= {"large": large, "met": large["met"]}
    if "usual" in (parts or PARTS):
        usual = _usual(seconds, say)
        result |= usual | {"met": result["met"] and usual["met"]}
    if not as_json:
        _report(result)
    print(json.dumps(result))
    return 0 if result["met"] else 1


def form() -> str:
    """Return how the role's rules run."""
    return "compiled" if FORM.compiled else "interpreted"


def _large() -> dict[str, Any]:
    found = [cost.as_json() for cost in costs()]
    (wanted,) = (one for one in found if (one["lines"], one["shipments"]) == LARGE)
    return {
        "sizes": found,
        "goal": {"cpu_ms_per_event": LARGE_GOAL_MS, "changelog_mb": LARGE_GOAL_MB, "worst_hold_ms": HOLD_GOAL_MS},
        "met": wanted["cpu_ms_per_event"] <= LARGE_GOAL_MS
        and wanted["changelog_mb"] <= LARGE_GOAL_MB
        and all(one["worst_hold_ms"] <= HOLD_GOAL_MS for one in found),
    }


def _usual(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    orders = max(ORDERS_MIN, int(seconds * ORDERS_PER_SECOND))
    work = OrdersWork(orders, events_of(orders), expected(orders))
    trivial = max(TRIVIAL_MIN, int(seconds * TRIVIAL_PER_SECOND))
    with scratch_kafka() as (kafka, directory):
        return asyncio.run(_compare(Place(kafka, directory, ""), work, trivial, say))


async def _compare(place: Place, work: OrdersWork, trivial: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"filling {work.events:,} events of {work.orders:,} orders, and {trivial:,} of the trivial job ...")
    await make_topics(place.bootstrap, [full_name(SOURCE), full_name("commands.rejected"), full_name("skips")])
    await fill(place.bootstrap, trivial)
    ours: list[Run] = []
    reference: list[Run] = []
    for number in range(ROUNDS):
        for kind, runs in (("trivial", reference), ("orders", ours)):
            run = await run_one(place, OURS, number, trivial) if kind == "trivial" else await _turn(place, number, work)
            wrong = f"  WRONG: {run.wrong}" if run.wrong else ""
            say(f"{kind:8} {run.events_per_s:9,.0f} events/s  {run.cpu_us_per_event:6.1f} us CPU each{wrong}")
            runs.append(run)
    return _result(ours, reference, work)


async def _turn(place: Place, number: int, work: OrdersWork) -> Run:
    """Run the role on topics of its own, so that its group and state begin anew."""
    settings = load_settings(kafka=place.bootstrap, topic_prefix=f"orders-{number}", partitions=PARTITIONS)
    await create(settings, demo())
    await fill_commands(settings, work.orders)
    outputs = [place for topic in _OUTPUTS for place in places(settings, topic)]
    records = sum(work.expected.records.values())
    with running("orders", settings, place.directory) as role:
        worked = await watch(place.bootstrap, outputs, records, role.process, work.events)
        memory = memory_mib(role.process.pid, peak=True)
    rate = worked.records_per_s * work.events / records
    return Run("orders", rate, worked.cpu, memory, await wrong_with(settings, work.expected))


async def fill_commands(settings: Settings, orders: int) -> None:
    (commands, *_) = places(settings, "orders.commands")
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", linger_ms=_LINGER_MS, max_batch_size=256 << 10
    )
    await producer.start()
    try:
        now_ms = time.time_ns() // 1_000_000
        for number, step in interleaved(orders):
            one = input_of(number, step, now_ms)
            partition = partition_of(one.key, settings.partitions)
            await producer.send(commands.topic, one.value, key=one.key, partition=partition, headers=list(one.headers))
        await producer.flush()
    finally:
        await producer.stop()


async def wrong_with(settings: Settings, wanted: ExpectedOutputs) -> str:
    """Return what is wrong with the output of a turn; empty when nothing is."""
    found = {topic: await records_of(settings.kafka, places(settings, topic)) for topic in _OUTPUTS}
    rejected = await records_of(settings.kafka, places(settings, "commands.rejected"))
    counts = Counter({topic: len(records) for topic, records in found.items()})
    verdicts = Counter(decode_reply(record.value).verdict.value for record in found["replies"])
    if rejected:
        return f"{len(rejected)} records were set aside"
    if counts != wanted.records:
        return f"{dict(counts)} records instead of {dict(wanted.records)}"
    if verdicts != wanted.verdicts:
        return f"verdicts {dict(verdicts)} instead of {dict(wanted.verdicts)}"
    return gaps(found["orders.events"])


def gaps(facts: list[Any]) -> str:
    """Return the first fact that skips or repeats a number of its order; empty when none does."""
    last: Counter[bytes] = Counter()
    for record in facts:
        sequence = orjson.loads(record.value)["sequence"]
        if sequence != last[record.key] + 1:
            return f"fact {sequence} of {record.key.decode()} follows {last[record.key]}"
        last[record.key] = sequence
    return ""


def _result(ours: list[Run], reference: list[Run], work: OrdersWork) -> dict[str, Any]:
    best, trivial = (max(runs, key=lambda run: run.events_per_s) for runs in (ours, reference))
    ratios = [mine.events_per_s / other.events_per_s for mine, other in zip(ours, reference, strict=True)]
    checked = not any(run.wrong for run in (*ours, *reference))
    cpu_us, goal_us = min(run.cpu_us_per_event for run in ours), CPU_GOAL_US[form()]
    ratio = round(best.events_per_s / trivial.events_per_s, 3)
    state_records, state_bytes = state_written()
    return {
        "offered_per_s": None,
        "achieved_per_s": round(best.events_per_s),
        "reference_per_s": round(trivial.events_per_s),
        "reference": "the trivial job of `sluice bench runtime`",
        "ratio": ratio,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio_cpu": round(trivial.cpu_us_per_event / best.cpu_us_per_event, 3),
        "goal": GOAL,
        "cpu_us_per_event": round(cpu_us, 1),
        "goal_cpu_us_per_event": goal_us,
        "reference_cpu_us_per_event": round(trivial.cpu_us_per_event, 1),
        "cpu": best.cpu,
        "reference_cpu": trivial.cpu,
        "memory_mib": round(best.memory_mib),
        "orders": work.orders,
        "events": work.events,
        "records": dict(work.expected.records),
        "verdicts": dict(work.expected.verdicts),
        "state_of_an_order": {"records": state_records, "bytes": state_bytes},
        "wrong": [run.wrong for run in (*ours, *reference) if run.wrong],
        "checked": checked,
        "met": checked and ratio >= GOAL and cpu_us <= goal_us,
    }


def _report(result: dict[str, Any]) -> None:
    if "large" in result:
        _report_large(result["large"])
    if "ratio" in result:
        _report_usual(result)


def _report_large(large: dict[str, Any]) -> None:
    row = "{:>8} {:>10} {:>8} {:>14} {:>15}  {:34} {:>13}".format
    print(row("lines", "shipments", "events", "ms CPU an event", "longest ms", "of which event", "changelog MB"))
    for one in large["sizes"]:
        costs = (one["cpu_ms_per_event"], one["worst_hold_ms"], one["worst_event"], one["changelog_mb"])
        print(row(one["lines"], one["shipments"], one["events"], *costs))
    print(
        f"goals: {LARGE_GOAL_MS} ms and {LARGE_GOAL_MB} MB with {LARGE[0]:,} lines in {LARGE[1]} shipments,"
        f" none longer than {HOLD_GOAL_MS} ms: {'met' if large['met'] else 'NOT MET'}"
    )


def _report_usual(result: dict[str, Any]) -> None:
    state = result["state_of_an_order"]
    print(
        f"\norders role {result['achieved_per_s']:,} events/s, trivial job {result['reference_per_s']:,}/s:"
        f" ratio {result['ratio']} (goal {GOAL}; outputs {'correct' if result['checked'] else 'WRONG'})\n"
        f"{result['cpu_us_per_event']} us CPU for each event (goal {result['goal_cpu_us_per_event']},"
        f" {result['form']}) against {result['reference_cpu_us_per_event']} us; {result['memory_mib']} MiB at most\n"
        f"an order writes {state['records']} records of {state['bytes']:,} bytes to orders.state\n"
        f"{cpu_text(result['cpu'])}\n{cpu_text(result['reference_cpu'], 'the trivial job')}"
    )
