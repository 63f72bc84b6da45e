"""Stock sent to a channel: the requests that conflation saves, and the delay until it knows of a SKU out of stock.

Conflation: a hot set changes far faster than the channel's ten requests a second can report. Out of stock: the time
from when a batch with the SKU is due on inventory.updates to the request with the SKU, while the channel's budget
allows and while ordinary changes exhaust it. At the end of each run, the channel must have exactly what the oracle has,
and no position may ever have gone back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.delivery.load import WARM_UP_S
from bench.delivery.peers import quantile_ms
from bench.inventory.job import StockWork, expected, shelf, steady
from bench.inventory.peers import Channel, Stage, channel, stage
from bench.processes import Started, cpu_each, cpu_now, late_load, memory_mib

OFFERED_PER_S = 50_000
"""Positions a second."""
SLOW_PER_S, FAST_PER_S = 10, 500
"""Requests a second that the channel allows."""
SECONDS_MIN = 5.0
EXHAUSTED_SHARE = 0.6
"""With a smaller share spent, the budget did not hold anything up. No sender spends all of it: a window of a second
counts from each answer, and the warm-up sends little."""
SPARED_GOAL = 20.0
CONFLATED_BATCH = 100
"""Half of a full batch: in full ones, 50,000 positions a second are only 25 times what the channel allows."""
_WHILE = {"allows": "allows", "exhausted": "is exhausted"}
P99_GOAL_MS = {"allows": 1_000.0, "exhausted": 5_000.0}


def conflation(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    work = steady(max(seconds, SECONDS_MIN), OFFERED_PER_S, batch=CONFLATED_BATCH)
    with channel() as one:
        run = _run(kafka, directory, "conflation", one, SLOW_PER_S, work)
    spared = round(run["naive_requests"] / run["requests"], 1)
    return {
        **run,
        "cpu": {"": run["cpu"]},
        "ratio": spared,
        "goal": SPARED_GOAL,
        "met": run["void"] is None and spared >= SPARED_GOAL,
    }


def conflation_described(found: Mapping[str, Any]) -> str:
    return (
        f"{found['changed']:,} changes in {found['naive_requests']:,} batches became {found['requests']:,} requests: "
        f"{found['ratio']} times fewer (goal {SPARED_GOAL:.0f}); the channel is as the oracle"
    )


def out_of_stock(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    work = steady(max(seconds, SECONDS_MIN), OFFERED_PER_S, gone_every=2)
    with channel() as one:
        runs = {
            "allows": _run(kafka, directory, "allows", one, FAST_PER_S, work),
            "exhausted": _run(kafka, directory, "exhausted", one, SLOW_PER_S, work),
        }
    runs["exhausted"]["void"] = runs["exhausted"]["void"] or not_exhausted(runs["exhausted"]["requests_per_s"])
    return {
        "offered_per_s": OFFERED_PER_S,
        "achieved_per_s": min(run["achieved_per_s"] for run in runs.values()),
        "budget": runs,
        "cpu": {f"the budget {_WHILE[name]}": run["cpu"] for name, run in runs.items()},
        "goal_ms": P99_GOAL_MS,
        "void": next((run["void"] for run in runs.values() if run["void"]), None),
        "met": all(run["void"] is None and run["latency_ms"]["p99"] <= P99_GOAL_MS[name] for name, run in runs.items()),
    }


def not_exhausted(requests_per_s: float) -> str | None:
    """Return why the budget of a run was not exhausted; None when it was."""
    if requests_per_s >= EXHAUSTED_SHARE * SLOW_PER_S:
        return None
    return f"the channel got {requests_per_s} of its {SLOW_PER_S} requests a second: nothing exhausted its budget"


def gone_described(found: Mapping[str, Any]) -> str:
    parts = []
    for name, run in found["budget"].items():
        took = run["latency_ms"]
        goal = P99_GOAL_MS[name]
        parts.append(
            f"while the budget {_WHILE[name]} p50 {took['p50']:.0f} ms, p99 {took['p99']:.0f} ms (goal {goal:.0f})"
        )
    return "; ".join(parts)


def _run(
    kafka: str, directory: Path, name: str, far_side: Channel, requests_per_s: int, work: StockWork
) -> dict[str, Any]:
    wanted = expected(work)
    far_side.begin()
    with stage(kafka, directory, name, far_side.base, requests_per_s) as roles:
        roles.load(work)
        far_side.wait(shelf(work))
        far_side.count_anew()
        before = cpu_now()
        load = roles.load(work, OFFERED_PER_S / work.batch)
        cpu = cpu_each("position", work.positions, before)
        settled_s = far_side.wait(wanted.quantities)
        memory = {role: round(memory_mib(one.process.pid, peak=True)) for role, one in _roles(roles).items()}
    far_side.check()
    counts, gone = far_side.counts(), far_side.gone()
    took = [gone[sku] - at_ms for sku, at_ms in load["due_ms"].items()]
    return {
        "offered_per_s": OFFERED_PER_S,
        "achieved_per_s": round(load["steady"] / load["seconds"]),
        "changed": wanted.changed,
        "naive_requests": wanted.naive,
        "requests": counts["requests"],
        "requests_per_s": round(counts["requests"] / (WARM_UP_S + load["seconds"] + settled_s), 1),
        "positions_sent": counts["positions"],
        "latency_ms": {"p50": quantile_ms(took, 0.5), "p99": quantile_ms(took, 0.99), "max": quantile_ms(took, 1.0)},
        "out_of_stock": len(took),
        "settled_s": round(settled_s, 1),
        "cpu": cpu,
        "memory_mib": memory,
        "late": load["late"],
        "void": late_load(load, "batches"),
    }


def _roles(roles: Stage) -> dict[str, Started]:
    return {"inventory": roles.inventory, "delivery": roles.delivery}
