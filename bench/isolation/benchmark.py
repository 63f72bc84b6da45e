"""`sluice bench isolation`: the delay that four bad destinations of a hundred cause for the other ninety-six.

One delivery process, a hundred subscriptions, facts for all of them at a steady rate. In turns, all are well, or four
of them hang, reset every connection, always answer 429 with a Retry-After, and have a name that does not resolve. The
ratio is that of the p99 from when a fact was due on Kafka to its arrival at one of the ninety-six.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.delivery.job import ENVIRONMENT, DeliveryWork, name_of, subscribe, subscription
from bench.delivery.peers import RECEIVER, Receiver, due_ms, quantile_ms, receiving, steady_ms
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_median,
    cpu_now,
    cpu_text,
    demo,
    late_load,
    machine,
    quiet_client,
    run_module,
    running,
    sayer,
    scratch_kafka,
)
from topics.configuration.settings import load_settings
from topics.kafka.admin import create
from topics.records.deliveries import DeliveryRequest

DESTINATIONS = 100
BAD = ("hang", "reset", "throttle", "nowhere")
"""Behaviour of the first four."""
ORDERS = 50
"""Orders of each destination."""
PER_S = 300
"""Deliveries a second to all destinations: a fraction of the capacity, as a queue would hide which one waits."""
ROUNDS = 3
"""Turns with bad destinations and without; the median ignores one that the machine disturbed."""
TIMEOUT_S = 2.0
"""Time-out of every destination, short enough to detect one that hangs within a turn."""
GOAL = 1.2
WORK = DeliveryWork([name_of(number) for number in range(DESTINATIONS)], ORDERS)


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goal was met."""
    say = sayer(as_json=as_json)
    quiet_client()
    turns: dict[str, list[dict[str, Any]]] = {"all well": [], "four bad": []}
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        receiver = stack.enter_context(receiving(RECEIVER, Receiver))
        for number in range(ROUNDS):
            for kind, done in turns.items():
                bad = BAD if kind == "four bad" else ()
                one = _turn(kafka, directory, receiver, f"{number}{len(bad)}", bad, max(3.0, seconds / ROUNDS))
                say(f"{kind}: p50 {one['p50']} ms, p99 {one['p99']} ms at {one['achieved_per_s']}/s")
                done.append(one)
    result = _result(turns)
    print(json.dumps(result) if as_json else _text(result) + "\n" + json.dumps(result))
    return 0 if result["met"] else 1


def _turn(
    kafka: str, directory: Path, receiver: Receiver, name: str, bad: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    settings = load_settings(kafka=kafka, topic_prefix=f"bench-{name}")
    asyncio.run(create(settings, demo()))
    behaves = [*bad, *["well"] * (DESTINATIONS - len(bad))]
    urls = [_url(receiver, how, number) for number, how in enumerate(behaves)]
    known = [subscription(name_of(number), url, timeout_s=TIMEOUT_S) for number, url in enumerate(urls)]
    asyncio.run(subscribe(settings, known))
    receiver.begin()
    spec = {"kafka": kafka, "prefix": settings.topic_prefix, "subscriptions": WORK.subscriptions, "orders": ORDERS}
    with running("delivery", settings, directory, more=ENVIRONMENT):
        before = cpu_now()
        load = run_module("bench.delivery.load", {**spec, "per_s": PER_S, "seconds": seconds})
        requests = (WORK.request(number, 0) for number in range(load["offered"]))
        others = {request.id for request in requests if _is_other(request)}
        due = {name: at_ms for name, at_ms in due_ms(load, WORK).items() if name in others}
        arrivals = _wait(receiver, due)
        cpu = cpu_each("delivery", load["offered"], before)
    inversions = receiver.counts()["inversions"]
    if inversions:
        raise VoidRunError(f"void: {inversions} deliveries were inverted")
    begun_ms = steady_ms(load)
    took = [arrivals[one] - at_ms for one, at_ms in due.items() if at_ms >= begun_ms]
    return {
        "p50": quantile_ms(took, 0.5),
        "p99": quantile_ms(took, 0.99),
        "achieved_per_s": round(load["steady"] / load["seconds"], 1),
        "cpu": cpu,
        "void": late_load(load),
    }


def _url(receiver: Receiver, how: str, number: int) -> str:
    return f"http://{how}.invalid:{receiver.port}/" if how == "nowhere" else receiver.url(f"{how}/{number}")


def _is_other(request: DeliveryRequest) -> bool:
    """Whether a request is for one of the ninety-six."""
    return request.destination.removeprefix("subscription:") not in WORK.subscriptions[: len(BAD)]


def _wait(receiver: Receiver, due: dict[str, float]) -> dict[str, float]:
    """Wait for all requests of the ninety-six; return when each arrived."""
    receiver.wait(len(due))
    while not due.keys() <= (arrivals := receiver.arrivals()).keys():
        receiver.wait(receiver.counts()["deliveries"] + 1)
    return arrivals


def _result(turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    well, bad = turns["all well"], turns["four bad"]
    p99, reference = (median(one["p99"] for one in kind) for kind in (bad, well))
    void = next((one["void"] for one in (*well, *bad) if one["void"]), None)
    ratio = round(p99 / reference, 3)
    return {
        "bench": "isolation",
        "offered_per_s": PER_S,
        "achieved_per_s": median(one["achieved_per_s"] for one in bad),
        "destinations": DESTINATIONS,
        "bad": BAD,
        "latency_ms": {"p50": median(one["p50"] for one in bad), "p99": p99},
        "reference_latency_ms": {"p50": median(one["p50"] for one in well), "p99": reference},
        "p99_ms": [one["p99"] for one in bad],
        "reference_p99_ms": [one["p99"] for one in well],
        "cpu": cpu_median([one["cpu"] for one in bad]),
        "reference_cpu": cpu_median([one["cpu"] for one in well]),
        "ratio": ratio,
        "goal": GOAL,
        "void": void,
        "met": void is None and ratio <= GOAL,
        "machine": machine(),
    }


def _text(result: dict[str, Any]) -> str:
    bad, well = result["latency_ms"], result["reference_latency_ms"]
    void = f"\nVOID: {result['void']}" if result["void"] else ""
    return (
        f"\nthe other {DESTINATIONS - len(BAD)} destinations at {PER_S}/s offered,"
        f" {result['achieved_per_s']}/s achieved in all\n"
        f"{'':18}{'p50 ms':>10}{'p99 ms':>10}\n"
        f"{'all are well':18}{well['p50']:>10}{well['p99']:>10}\n"
        f"{'four are bad':18}{bad['p50']:>10}{bad['p99']:>10}\n"
        f"ratio of p99 {result['ratio']} (goal {GOAL}){void}\n"
        f"{cpu_text(result['cpu'], 'four are bad')}\n{cpu_text(result['reference_cpu'], 'all are well')}"
    )
