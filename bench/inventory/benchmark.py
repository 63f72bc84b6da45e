"""`sluice bench inventory`: stock from a marketplace's call or a producer's batch to the channel, part by part.

Each part runs on a Kafka of its own, with everything that takes part on this machine; `--part` chooses parts. A part is
void when its load could not keep up, or when its end is not what the oracle says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.inventory import intake as inventory_intake
from bench.inventory import resync as inventory_resync
from bench.inventory import snapshot as inventory_snapshot
from bench.inventory import stock_calls as inventory_calls
from bench.inventory import worker as inventory_worker
from bench.processes import VoidRunError, cpu_text, machine, quiet_client, sayer, scratch_kafka


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmark.

    `measure(kafka, directory, seconds)` returns the findings: at least `offered_per_s` (None at full speed),
    `achieved_per_s`, `met`, `cpu` (by what it is of, each as bench.processes.cpu_each has it) and, with a steady load,
    `void`. `describe` puts them into a line.
    """

    title: str
    measure: Callable[[str, Path, float], dict[str, Any]]
    describe: Callable[[Mapping[str, Any]], str]


PARTS: dict[str, Part] = {
    "intake": Part("intake over HTTP", inventory_intake.measure, inventory_intake.described),
    "snapshot": Part("a full snapshot", inventory_snapshot.measure, inventory_snapshot.described),
    "worker": Part("the inventory worker", inventory_worker.worker, inventory_worker.worker_described),
    "conflation": Part("conflation of a hot set", inventory_calls.conflation, inventory_calls.conflation_described),
    "out-of-stock": Part("out of stock to the wire", inventory_calls.out_of_stock, inventory_calls.gone_described),
    "resync": Part("a resync amid deltas", inventory_resync.resync, inventory_resync.described),
    "rebuild": Part("rebuild after a restart", inventory_worker.rebuild, inventory_worker.rebuild_described),
}


def main(seconds: float, as_json: bool, parts: Sequence[str] = ()) -> int:
    """Return 0 when the goals of all chosen parts were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    found: dict[str, dict[str, Any]] = {}
    for name in parts or PARTS:
        found[name] = _measured(PARTS[name], seconds)
        say(_row(PARTS[name].title, found[name], PARTS[name].describe))
    result = {
        "bench": "inventory",
        "parts": found,
        "met": all(one["met"] for one in found.values()),
        "machine": machine(),
    }
    print(json.dumps(result))
    return 0 if result["met"] else 1


def _measured(part: Part, seconds: float) -> dict[str, Any]:
    """Measure a part on a Kafka of its own, so that it leaves nothing for the next part to clean up."""
    busy = os.getloadavg()[0]
    with scratch_kafka() as (kafka, directory):
        try:
            found = part.measure(kafka, directory, seconds)
        except VoidRunError as error:
            found = {"void": str(error), "met": False}
    return {**found, "load_average_before": round(busy, 2)}


def _row(title: str, found: Mapping[str, Any], describe: Callable[[Mapping[str, Any]], str]) -> str:
    verdict = "VOID" if found.get("void") else "met" if found["met"] else "NOT MET"
    if "achieved_per_s" not in found:
        return f"{title:26}{verdict:>8}  {found['void']}"
    void = f"\n{'':36}{found['void']}" if found.get("void") else ""
    cpu = [cpu_text(one, of) for of, one in found["cpu"].items()]
    lines = "".join(f"\n{'':36}{line}" for line in (describe(found), *cpu))
    return f"{title:26}{verdict:>8}  {_rates(found)}{lines}{void}"


def _rates(found: Mapping[str, Any]) -> str:
    offered = found["offered_per_s"]
    rate = "at full speed" if offered is None else f"{offered:,.0f}/s"
    return f"offered {rate}, achieved {found['achieved_per_s']:,.0f} positions/s"
