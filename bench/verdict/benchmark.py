"""`sluice bench verdict`: from a marketplace's POST to the verdict of the orders role in its answer.

One gateway and one orders worker, as `sluice run gateway` and `sluice run orders` start them, on a real Kafka; Create
Outward Order, the contract's sample. Latency at a steady rate (open loop, from the time a request was due), then
capacity at 32 connections (closed loop). Void when an answer was not 200, a verdict not APPLIED, or the generator was
late itself.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from bench.ingress.benchmark import CONNECTIONS, request_spec, run_load
from bench.orders.benchmark import gaps
from bench.processes import (
    Started,
    VoidRunError,
    cpu_each,
    cpu_now,
    cpu_text,
    demo,
    late_load,
    machine,
    memory_mib,
    places,
    quiet_client,
    records_of,
    running,
    sayer,
    scratch_kafka,
)
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create
from topics.records.verdicts import Verdict, decode_reply

PER_S = 100
P50_GOAL_MS, P99_GOAL_MS = 4.0, 10.0
CAPACITY_GOAL = 2_700
"""On two processors, with the broker and the load on them."""
CPU_GOAL_US = {"gateway": 200.0, "orders": 230.0}
"""For each post, at capacity."""
WARM_UP_S = 3.0
TURNS = 3
"""Turns of the capacity; the median ignores one that the machine disturbed."""


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goals were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        settings = load_settings(kafka=kafka, topic_prefix="bench")
        asyncio.run(create(settings, demo()))
        orders = stack.enter_context(running("orders", settings, directory))
        gateway = stack.enter_context(running("gateway", settings, directory))
        result = _measure(gateway, orders, seconds, say)
        stored = asyncio.run(_check(settings, result.pop("accepted_in_all")))
    result["records"] = stored
    if not as_json:
        _report(result)
    print(json.dumps(result))
    return 0 if result["met"] else 1


def _measure(gateway: Started, orders: Started, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    closed = "bench.ingress.load"
    accepted = run_load(closed, {**request_spec(gateway.port, "W"), "seconds": WARM_UP_S})["accepted_in_all"]
    before = cpu_now()
    steady = run_load(
        "bench.verdict.load", {**request_spec(gateway.port, "L"), "seconds": max(seconds, 3.0), "per_s": PER_S}
    )
    steady_cpu = cpu_each("post", steady["accepted"], before)
    say(f"at {PER_S}/s: p50 {steady['p50_ms']} ms, p99 {steady['p99_ms']} ms, max {steady['max_ms']} ms")
    accepted += steady["accepted"]
    turns = []
    before = cpu_now()
    for turn in range(TURNS):
        run = run_load(closed, {**request_spec(gateway.port, f"C{turn}"), "seconds": max(1.0, seconds / TURNS)})
        accepted += run["accepted_in_all"]
        turns.append(run)
        say(f"{CONNECTIONS} connections: {run['accepted'] / run['seconds']:,.0f}/s, p50 {run['p50_ms']} ms")
    cpu = cpu_each("post", sum(run["accepted_in_all"] for run in turns), before)
    rates = [run["accepted"] / run["seconds"] for run in turns]
    capacity = median(rates)
    return {
        "bench": "verdict",
        "offered_per_s": PER_S,
        "achieved_per_s": round(capacity, 1),
        "goal_per_s": CAPACITY_GOAL,
        "latency_ms": {
            "p50": steady["p50_ms"],
            "p99": steady["p99_ms"],
            "max": steady["max_ms"],
            "offered_per_s": PER_S,
            "achieved_per_s": round(steady["accepted"] / steady["seconds"], 1),
        },
        "goal_ms": {"p50": P50_GOAL_MS, "p99": P99_GOAL_MS},
        "void": void_because(steady),
        "connections": CONNECTIONS,
        "rates_per_s": [round(rate) for rate in rates],
        "capacity_latency_ms": {name: median(run[f"{name}_ms"] for run in turns) for name in ("p50", "p99")},
        "cpu": cpu,
        "goal_cpu_us": CPU_GOAL_US,
        "steady_cpu": steady_cpu,
        "memory_mib": {
            "gateway": round(memory_mib(gateway.process.pid)),
            "orders": round(memory_mib(orders.process.pid)),
        },
        "accepted_in_all": accepted,
        "met": not void_because(steady)
        and capacity >= CAPACITY_GOAL
        and steady["p50_ms"] <= P50_GOAL_MS
        and steady["p99_ms"] <= P99_GOAL_MS
        and all(cpu["us"][role] <= goal for role, goal in CPU_GOAL_US.items()),
        "machine": machine(),
    }


def void_because(steady: dict[str, Any]) -> str | None:
    """Return why a steady run measured nothing; None when it did."""
    if late := late_load(steady, "posts"):
        return late
    if steady["accepted"] < steady["offered"]:
        return f"{steady['accepted']} of {steady['offered']} posts were answered"
    return None


async def _check(settings: Settings, accepted: int) -> dict[str, int]:
    """Raise VoidRunError unless each post is a command, a verdict APPLIED and a fact."""
    replies = await records_of(settings.kafka, places(settings, "replies"))
    facts = await records_of(settings.kafka, places(settings, "orders.events"))
    commands = await records_of(settings.kafka, places(settings, "orders.commands"))
    verdicts = Counter(decode_reply(record.value).verdict for record in replies)
    posted = sum(1 for record in commands if not record.key.startswith(b"~"))
    if set(verdicts) != {Verdict.APPLIED}:
        raise VoidRunError(f"void: verdicts {dict(verdicts)}")
    if not posted == len(replies) == len(facts) or posted < accepted:
        raise VoidRunError(
            f"void: {accepted} accepted, {posted} commands, {len(replies)} verdicts, {len(facts)} facts in Kafka"
        )
    wrong = gaps(facts)
    if wrong:
        raise VoidRunError(f"void: {wrong}")
    return {"accepted": accepted, "commands": posted, "verdicts": len(replies), "facts": len(facts)}


def _report(result: dict[str, Any]) -> None:
    latency, capacity = result["latency_ms"], result["capacity_latency_ms"]
    if result["void"]:
        print(f"\nVOID: {result['void']}")
    print(
        f"\nverdict at {PER_S} posts/s: p50 {latency['p50']} ms (goal {P50_GOAL_MS}), p99 {latency['p99']} ms"
        f" (goal {P99_GOAL_MS}), all APPLIED\n"
        f"capacity at {CONNECTIONS} connections: {result['achieved_per_s']:,.0f}/s (goal {CAPACITY_GOAL:,}),"
        f" p50 {capacity['p50']} ms, p99 {capacity['p99']} ms\n"
        f"{cpu_text(result['cpu'], 'at capacity')} (goals: gateway {CPU_GOAL_US['gateway']:.0f},"
        f" orders {CPU_GOAL_US['orders']:.0f})\n"
        f"{cpu_text(result['steady_cpu'], f'at {PER_S}/s')}; memory {result['memory_mib']} MiB"
    )
