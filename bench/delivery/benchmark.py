"""`sluice bench delivery`: signed, ordered, durable deliveries/s of one delivery process beside a bare client loop.

The delivery process is `sluice run delivery`, fed from a deliveries.requests that is filled before; the loop is
aiohttp's client (bench/delivery/bare.py). They take turns in one run, with the same receiver and the same bodies:
first as fast as it answers, at 100 connections; then with 100 ms before each answer, and as many connections as
orders, so that each order has a request in flight. Last comes the time from when a request is due on Kafka to its
first attempt, at half of the capacity, and beside it the bare loop's at the same rate, which is what the machine and
the receiver take of it. Void when a delivery is missing, repeated, inverted or unsigned, or without a durable attempt.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from bench.delivery.bare import name_of_post
from bench.delivery.job import ENVIRONMENT, DeliveryWork, fill, name_of, subscribe, subscription
from bench.delivery.load import due_s
from bench.delivery.peers import RECEIVER, Receiver, Watch, due_ms, quantile_ms, receiving, steady_ms
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_median,
    cpu_now,
    cpu_text,
    demo,
    late_load,
    machine,
    memory_mib,
    places,
    quiet_client,
    records_of,
    run_module,
    running,
    sayer,
    scratch_kafka,
)
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

CONNECTIONS = 100
ORDERS = 1_000
LATENCY_MS = 100.0
ROUNDS = 3
"""Turns of each side at full speed; the median ignores one that the machine disturbed."""
SLOW_ROUNDS = 2
PER_SECOND = 800
"""Deliveries for each second of `--seconds`, so that a turn takes near as long on any machine."""
DELIVERIES_MIN = 5_000
BODIES = 1_000
HALF = 0.5
GOAL = 0.65
SLOW_GOAL = 0.8
SLOW_PER_S_MAX = 10_000
"""Most deliveries a second of 1,000 orders at 100 ms each."""
P99_GOAL_MS = 60.0


@dataclass
class SenderTurns:
    """All turns of one sender at one latency."""

    per_s: list[float] = field(default_factory=list)
    cpu: list[dict[str, Any]] = field(default_factory=list)
    """CPU of each part for a delivery (bench.processes.cpu_each)."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Kafka, directory and receiver of the turns; each turn has topics of its own."""

    kafka: str
    directory: Path
    receiver: Receiver
    say: Callable[[str], None]
    memory: list[float] = field(default_factory=list)

    def topics(self, name: str, concurrency: int) -> Settings:
        settings = load_settings(kafka=self.kafka, topic_prefix=f"bench-{name}")
        asyncio.run(create(settings, demo()))
        url = self.receiver.url("well")
        asyncio.run(subscribe(settings, [subscription(name_of(0), url, concurrency=concurrency)]))
        return settings


SIDES = {"bare": "bare", "sluice": "delivery"}
"""The part of each side that sends, as CPU is counted."""
Turn = tuple[float, dict[str, Any]]
"""Deliveries a second, and the CPU of each part for one."""
WORK = DeliveryWork([name_of(0)], ORDERS)


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goals were met."""
    quiet_client()
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        receiver = stack.enter_context(receiving(RECEIVER, Receiver))
        (directory / "bodies").write_bytes(b"\n".join(WORK.bodies(BODIES, 0)))
        bench = Bench(kafka, directory, receiver, sayer(as_json=as_json))
        full = _turns(bench, "full", seconds / ROUNDS, 0.0, CONNECTIONS, ROUNDS)
        slow = _turns(bench, "slow", seconds / SLOW_ROUNDS, LATENCY_MS, ORDERS, SLOW_ROUNDS)
        half, steady_s = HALF * median(full["sluice"].per_s), max(seconds, 5.0)
        steady = _steady(bench, half, steady_s) | {"bare": _bare_steady(bench, half, steady_s)}
    result = _result(full, slow, steady, bench)
    print(json.dumps(result) if as_json else _text(result) + "\n" + json.dumps(result))
    return 0 if result["met"] else 1


def _turns(
    bench: Bench, name: str, seconds: float, latency_ms: float, connections: int, rounds: int
) -> dict[str, SenderTurns]:
    measured = {"bare": SenderTurns(), "sluice": SenderTurns()}
    for number in range(rounds):
        for kind, turn in (("bare", _bare), ("sluice", _sluice)):
            per_s, cpu = turn(bench, f"{name}-{number}", max(2.0, seconds), latency_ms, connections)
            measured[kind].per_s.append(per_s)
            measured[kind].cpu.append(cpu)
            bench.say(f"{name:5} {kind:7} {per_s:8,.0f} deliveries/s  {cpu['us'][SIDES[kind]]:7.1f} us CPU each")
    return measured


def _bare(bench: Bench, _name: str, seconds: float, latency_ms: float, connections: int) -> Turn:
    bench.receiver.begin(latency_ms)
    before = cpu_now()
    url, bodies = bench.receiver.url("well"), str(bench.directory / "bodies")
    found = run_module(
        "bench.delivery.bare", {"url": url, "bodies": bodies, "connections": connections, "seconds": seconds}
    )
    if found["taken"] != found["sent"]:
        raise VoidRunError(f"void: {found['taken']} of {found['sent']} posts of the bare loop were answered 200")
    cpu = cpu_each("delivery", found["sent"], before)
    cpu["us"]["bare"] = round(found["cpu_us"], 2)  # as the loop measured itself, without its start
    return found["per_s"], cpu


def _sluice(bench: Bench, name: str, seconds: float, latency_ms: float, connections: int) -> Turn:
    deliveries = max(DELIVERIES_MIN, int(seconds * PER_SECOND))
    settings = bench.topics(name, connections)
    asyncio.run(fill(settings, WORK, deliveries))
    bench.receiver.begin(latency_ms)
    with running("delivery", settings, bench.directory, more=ENVIRONMENT) as role:
        watch = Watch(deliveries)
        bench.receiver.wait(deliveries, watch)
        bench.memory.append(memory_mib(role.process.pid, peak=True))
    bench.receiver.check(deliveries)
    asyncio.run(_check_attempts(settings, deliveries))
    return watch.result()


async def _check_attempts(settings: Settings, deliveries: int) -> None:
    """Raise VoidRunError unless each delivery has one recorded attempt, now that the role has ended."""
    attempts = await records_of(settings.kafka, places(settings, "deliveries.attempts"))
    classes = Counter(orjson.loads(record.value)["class"] for record in attempts)
    if classes != {"delivered": deliveries}:
        raise VoidRunError(f"void: attempts on Kafka {dict(classes)} of {deliveries} deliveries")


def _steady(bench: Bench, per_s: float, seconds: float) -> dict[str, Any]:
    """Measure the time from when each request was due on Kafka to its arrival."""
    settings = bench.topics("steady", CONNECTIONS)
    spec = {"kafka": settings.kafka, "prefix": settings.topic_prefix, "subscriptions": WORK.subscriptions}
    bench.receiver.begin()
    with running("delivery", settings, bench.directory, more=ENVIRONMENT):
        before = cpu_now()
        load = run_module("bench.delivery.load", {**spec, "orders": ORDERS, "per_s": per_s, "seconds": seconds})
        bench.receiver.wait(load["offered"])
        cpu = cpu_each("delivery", load["offered"], before)
    bench.receiver.check(load["offered"])
    return {**_latencies(bench, load, due_ms(load, WORK)), "cpu": cpu, "void": late_load(load)}


def _bare_steady(bench: Bench, per_s: float, seconds: float) -> dict[str, Any]:
    """Measure the time from when each post of the bare loop is due to its arrival, at the same rate."""
    bench.receiver.begin()
    url, bodies = bench.receiver.url("well"), str(bench.directory / "bodies")
    spec = {"url": url, "bodies": bodies, "connections": CONNECTIONS, "per_s": per_s, "seconds": seconds}
    load = run_module("bench.delivery.bare", spec)
    due = {name_of_post(number): load["began_ms"] + 1000 * due_s(number, per_s) for number in range(load["offered"])}
    return _latencies(bench, load, due)


def _latencies(bench: Bench, load: dict[str, Any], due: dict[str, float]) -> dict[str, Any]:
    """Return the quantiles of the time from when each was due, after the warm-up, to its arrival."""
    arrivals, begun_ms = bench.receiver.arrivals(), steady_ms(load)
    took = [arrivals[name] - at_ms for name, at_ms in due.items() if at_ms >= begun_ms]
    return {
        "offered_per_s": round(load["per_s"], 1),
        "achieved_per_s": round(load["steady"] / load["seconds"], 1),
        "p50": quantile_ms(took, 0.5),
        "p99": quantile_ms(took, 0.99),
        "late": load["late"],
    }


def _result(
    full: dict[str, SenderTurns], slow: dict[str, SenderTurns], steady: dict[str, Any], bench: Bench
) -> dict[str, Any]:
    at_full, at_slow = _compared(full), _compared(slow)
    wanted = min(float(SLOW_PER_S_MAX), at_slow["reference_per_s"])
    at_slow |= {"latency_ms": LATENCY_MS, "orders": ORDERS, "goal": SLOW_GOAL}
    at_slow["ratio"] = round(at_slow["achieved_per_s"] / wanted, 3)
    return {
        "bench": "delivery",
        "offered_per_s": None,
        **at_full,
        "reference": "a bare aiohttp client loop",
        "goal": GOAL,
        "connections": CONNECTIONS,
        "slow_receiver": at_slow,
        "latency_ms": steady,
        "goal_ms": {"p99": P99_GOAL_MS},
        "memory_mib": round(max(bench.memory)),
        "met": at_full["ratio"] >= GOAL
        and at_slow["ratio"] >= SLOW_GOAL
        and steady["void"] is None
        and steady["p99"] < P99_GOAL_MS,
        "machine": machine(),
    }


def _compared(measured: dict[str, SenderTurns]) -> dict[str, Any]:
    ours, bare = measured["sluice"], measured["bare"]
    achieved, reference = median(ours.per_s), median(bare.per_s)
    cpu, bare_cpu = cpu_median(ours.cpu), cpu_median(bare.cpu)
    return {
        "achieved_per_s": round(achieved, 1),
        "reference_per_s": round(reference, 1),
        "ratio": round(achieved / reference, 3),
        "rates_per_s": [round(rate) for rate in ours.per_s],
        "reference_rates_per_s": [round(rate) for rate in bare.per_s],
        "cpu_us_per_delivery": cpu["us"][SIDES["sluice"]],
        "reference_cpu_us": bare_cpu["us"][SIDES["bare"]],
        "cpu": cpu,
        "reference_cpu": bare_cpu,
    }


def _text(result: dict[str, Any]) -> str:
    slow, steady = result["slow_receiver"], result["latency_ms"]
    bare = steady["bare"]
    void = f"\nVOID: {steady['void']}" if steady["void"] else ""
    return (
        f"\n{'':18}{'sluice':>12}{'bare loop':>12}{'ratio':>8}{'goal':>7}\n"
        f"{'deliveries/s':18}{result['achieved_per_s']:>12,.0f}{result['reference_per_s']:>12,.0f}"
        f"{result['ratio']:>8}{GOAL:>7}\n"
        f"{'  CPU us each':18}{result['cpu_us_per_delivery']:>12}{result['reference_cpu_us']:>12}\n"
        f"{'answers in 100 ms':18}{slow['achieved_per_s']:>12,.0f}{slow['reference_per_s']:>12,.0f}"
        f"{slow['ratio']:>8}{SLOW_GOAL:>7}\n"
        f"{'  CPU us each':18}{slow['cpu_us_per_delivery']:>12}{slow['reference_cpu_us']:>12}\n"
        f"from receipt to first attempt, {steady['offered_per_s']:,.0f}/s offered, {steady['achieved_per_s']:,.0f}/s"
        f" achieved: p50 {steady['p50']} ms, p99 {steady['p99']} ms (goal {P99_GOAL_MS:.0f}){void}\n"
        f"the bare loop at that rate, without Kafka: p50 {bare['p50']} ms, p99 {bare['p99']} ms\n"
        f"{cpu_text(result['cpu'], 'at capacity')}\n{cpu_text(result['reference_cpu'], 'the bare loop')}\n"
        f"{cpu_text(steady['cpu'], 'at half of it')}"
    )
