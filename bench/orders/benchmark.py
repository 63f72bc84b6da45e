"""`sluice bench orders`: events/s of the orders role, all rules on, beside the trivial job of `sluice bench runtime`.

Both run on Sluice's runtime, as processes of their own, in turns on one Kafka, from topics that are filled before. The
ratio says what the rules cost. Every output record is checked: facts without gaps, verdicts, requests, none set aside.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from bench.orders.job import ExpectedOutputs, events_of, expected, input_of, interleaved
from bench.processes import demo, machine, memory_mib, places, quiet_client, records_of, running, sayer, scratch_kafka
from bench.runtime.benchmark import OURS, Place, Run, run_one
from bench.runtime.job import PARTITIONS, SOURCE, fill, full_name, make_topics
from bench.runtime.watch import watch
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
_OUTPUTS = ("orders.events", "replies", "deliveries.requests")
_LINGER_MS = 5


@dataclass(frozen=True, slots=True)
class OrdersWork:
    """The events of one turn of the orders role, and the expected outputs."""

    orders: int
    events: int
    expected: ExpectedOutputs


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the outputs are right and the goal was met."""
    say = sayer(as_json=as_json)
    quiet_client()
    orders = max(ORDERS_MIN, int(seconds * ORDERS_PER_SECOND))
    work = OrdersWork(orders, events_of(orders), expected(orders))
    trivial = max(TRIVIAL_MIN, int(seconds * TRIVIAL_PER_SECOND))
    with scratch_kafka() as (kafka, directory):
        result = asyncio.run(_compare(Place(kafka, directory, ""), work, trivial, say))
    if as_json:
        print(json.dumps(result))
    else:
        _report(result)
    return 0 if result["checked"] and result["ratio"] >= GOAL else 1


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
        rate, cpu = await watch(place.bootstrap, outputs, records, role.process)
        memory = memory_mib(role.process.pid, peak=True)
    each = records / work.events
    return Run("orders", rate / each, cpu * each, memory, await wrong_with(settings, work.expected))


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
    return {
        "bench": "orders",
        "offered_per_s": None,
        "achieved_per_s": round(best.events_per_s),
        "reference_per_s": round(trivial.events_per_s),
        "reference": "the trivial job of `sluice bench runtime`",
        "ratio": round(best.events_per_s / trivial.events_per_s, 3),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio_cpu": round(trivial.cpu_us_per_event / best.cpu_us_per_event, 3),
        "goal": GOAL,
        "cpu_us_per_event": round(best.cpu_us_per_event, 1),
        "reference_cpu_us_per_event": round(trivial.cpu_us_per_event, 1),
        "memory_mib": round(best.memory_mib),
        "orders": work.orders,
        "events": work.events,
        "records": dict(work.expected.records),
        "verdicts": dict(work.expected.verdicts),
        "wrong": [run.wrong for run in (*ours, *reference) if run.wrong],
        "checked": not any(run.wrong for run in (*ours, *reference)),
        "machine": machine(),
    }


def _report(result: dict[str, Any]) -> None:
    print(
        f"\norders role {result['achieved_per_s']:,} events/s, trivial job {result['reference_per_s']:,}/s:"
        f" ratio {result['ratio']} (goal {GOAL}; outputs {'correct' if result['checked'] else 'WRONG'})\n"
        f"{result['cpu_us_per_event']} us CPU for each event against {result['reference_cpu_us_per_event']} us;"
        f" {result['memory_mib']} MiB at most"
    )
