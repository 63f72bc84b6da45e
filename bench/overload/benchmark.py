"""`sluice bench overload`: ten times what a gateway can serve, on 8,000 connections, beside a channel within its share.

One gateway and one orders worker on a real Kafka, and two channels. First each alone: the capacity (closed loop), and
the second channel at a tenth of it (open loop). Then both at once, the first channel at ten times the capacity for
`--seconds`. Everything runs on this machine, the load too: its share of a processor is part of the result, because
what it takes nothing else can use.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import IO, Any

from bench.ingress.benchmark import CONNECTIONS, request_spec
from bench.overload.load import raise_file_limit
from bench.processes import (
    Started,
    VoidRunError,
    cpu_each,
    cpu_now,
    cpu_text,
    late_load,
    machine,
    memory_mib,
    module_result,
    places,
    quiet_client,
    records_of,
    run_module,
    running,
    sayer,
    scratch_kafka,
    start_module,
)
from topics.configuration.channels import Channels
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

LOAD = "bench.overload.load"
OVERLOAD_CONNECTIONS = 8_000
TIMES = 10
"""The overload, as a multiple of the capacity."""
SECOND_SHARE = 0.1
"""The second channel's rate, as a share of the capacity."""
SECOND_CONNECTIONS = 64
WARM_UP_S = 4.0
TURNS = 3
"""Turns of the capacity; the median ignores one that the machine disturbed."""
MEMORY_AFTER_S = 60.0
SAMPLE_S = 0.2

SERVED_GOAL = 0.8
REFUSED_P99_GOAL_MS = 250.0
ACCEPTED_P99_GOAL_MS = 1_000.0
QUIET_FACTOR_GOAL, QUIET_MORE_GOAL_MS = 2.0, 20.0
MEMORY_GOAL = 1.3
DRAINED_GOAL_S = 30.0

CHANNELS = """
[increff]
url = "http://127.0.0.1:9/assure-magic2"
"""
CHANNEL = """
[channels.{name}]
credentials = {{ username = "{name}", password = "{name}-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "{name}-increff" }}
marketplace = {{ url = "http://127.0.0.1:9" }}
"""
FIRST, SECOND = "first", "second"


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goals were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    raise_file_limit()
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        settings = load_settings(kafka=kafka, topic_prefix="bench")
        channels, more = _channels(directory)
        asyncio.run(create(settings, channels))
        stack.enter_context(running("orders", settings, directory, more=more))
        gateway = stack.enter_context(running("gateway", settings, directory, more=more))
        result = _measure(gateway, seconds, say)
        result["records"] = asyncio.run(_check(settings, result.pop("accepted_in_all")))
    if not as_json:
        print(_text(result))
    print(json.dumps(result))
    return 0 if result["met"] else 1


def _channels(directory: Path) -> tuple[Channels, dict[str, str]]:
    """Return both channels, and the environment of roles that have them."""
    path = directory / "channels.toml"
    path.write_text(CHANNELS + "".join(CHANNEL.format(name=name) for name in (FIRST, SECOND)), encoding="utf-8")
    return load_channels(path), {"SLUICE_CHANNELS_FILE": str(path)}


def load_spec(
    port: int, channel: str, prefix: str, connections: int, seconds: float, per_s: float | None, **more: Any
) -> Any:
    headers = {"authUsername": channel, "authPassword": f"{channel}-secret", "authDomainName": "demo"}
    return {
        **request_spec(port, prefix),
        "headers": headers,
        "connections": connections,
        "seconds": seconds,
        "per_s": per_s,
        **more,
    }


def _measure(gateway: Started, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    port = gateway.port
    warm = [run_module(LOAD, load_spec(port, FIRST, "W", CONNECTIONS, WARM_UP_S, None))]
    before = cpu_now()
    alone = [
        run_module(LOAD, load_spec(port, FIRST, f"C{turn}", CONNECTIONS, max(2.0, seconds / 6), None))
        for turn in range(TURNS)
    ]
    capacity = median(run["accepted"] / run["seconds"] for run in alone)
    cpu_alone = cpu_each("served call", sum(run["accepted_in_all"] for run in alone), before)
    say(f"alone: {capacity:,.0f}/s at {CONNECTIONS} connections, p99 {alone[0]['accepted_ms']['p99']} ms")
    second_per_s = capacity * SECOND_SHARE
    quiet = run_module(LOAD, load_spec(port, SECOND, "Q", SECOND_CONNECTIONS, max(5.0, seconds / 3), second_per_s))
    say(f"second channel alone at {second_per_s:,.0f}/s: {quiet['accepted_ms']}")
    time.sleep(1.0)
    before_mib = memory_mib(gateway.process.pid)
    watch = RoleUse(gateway.process.pid)
    first, second = _overload(port, capacity, seconds)
    use = watch.end()
    ended = time.monotonic()
    say(f"overload: {first['accepted'] / first['seconds']:,.0f}/s served, {first['refused_ms']} refused")
    # The load's own waiting for answers is part of the minute: its connections are closed when it ends.
    time.sleep(max(0.0, MEMORY_AFTER_S - (time.monotonic() - ended)))
    after_mib = memory_mib(gateway.process.pid)
    result = _result(capacity, alone, quiet, first, second, use, (before_mib, after_mib))
    result["reference_cpu"] = cpu_alone
    result["accepted_in_all"] = sum(run["accepted_in_all"] for run in (*warm, *alone, quiet, first, second))
    return result


def _overload(port: int, capacity: float, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run both channels at once; the second one within the time of the first."""
    specs = (
        load_spec(port, FIRST, "O", OVERLOAD_CONNECTIONS, seconds, capacity * TIMES, wait=True),
        load_spec(port, SECOND, "S", SECOND_CONNECTIONS, max(1.0, seconds - 1.0), capacity * SECOND_SHARE, wait=True),
    )
    processes = [start_module(LOAD, json.dumps(spec), stdin=PIPE, stdout=PIPE, stderr=PIPE) for spec in specs]
    for process in processes:
        _pipe(process.stderr).readline()  # it is connected
    for process in processes:
        _pipe(process.stdin).write(b"go\n")
        _pipe(process.stdin).flush()
    return module_result(processes[0]), module_result(processes[1])


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("start the process with all pipes")
    return pipe


class RoleUse:
    """The highest memory of the gateway, and the CPU of all parts, from its making to its end."""

    def __init__(self, gateway: int) -> None:
        self._gateway = gateway
        self._before = cpu_now()
        self._started = time.monotonic()
        self._most_mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._most_mib = max(self._most_mib, memory_mib(self._gateway))

    def end(self) -> dict[str, Any]:
        self._over.set()
        self._thread.join()
        took = time.monotonic() - self._started
        after = cpu_now()
        roles = ("gateway", "orders", "broker")
        shares = {part: round((after[part] - self._before[part]) / took, 3) for part in roles}
        return {"memory_peak_mib": self._most_mib, "cpu_share": shares, "cpu_from": self._before, "cpu_to": after}


def _result(
    capacity: float,
    alone: Sequence[dict[str, Any]],
    quiet: dict[str, Any],
    first: dict[str, Any],
    second: dict[str, Any],
    use: dict[str, Any],
    memory: tuple[float, float],
) -> dict[str, Any]:
    served = (first["accepted"] / first["seconds"]) + second["accepted"] / second["seconds"]
    quiet_p99, second_p99 = quiet["accepted_ms"]["p99"], second["accepted_ms"]["p99"]
    before_mib, after_mib = memory
    void = late_load(first) or late_load(second)
    met = {
        "served": served >= SERVED_GOAL * capacity,
        "refused": first["refused_ms"]["p99"] < REFUSED_P99_GOAL_MS,
        "accepted": first["accepted_ms"]["p99"] < ACCEPTED_P99_GOAL_MS,
        "second_all_200": not second["statuses"] and not second["lost"] and not second["unsent"],
        "second_p99": second_p99 < QUIET_FACTOR_GOAL * quiet_p99 + QUIET_MORE_GOAL_MS,
        "memory": after_mib <= MEMORY_GOAL * before_mib,
        "drained": first["drained"] and first["drained_s"] < DRAINED_GOAL_S,
    }
    return {
        "bench": "overload",
        "capacity_per_s": round(capacity, 1),
        "offered_per_s": round(first["offered"] / first["seconds"], 1),
        "sent_per_s": round(first["sent"] / first["seconds"], 1),
        "achieved_per_s": round(served, 1),
        "ratio": round(served / capacity, 3),
        "ratio_beside_load": round(served / (capacity * left_by_load(alone, first, second)), 3),
        "quiet": quiet,
        "first": first,
        "second": second,
        "memory_mib": {
            "before": round(before_mib, 1),
            "peak": round(use["memory_peak_mib"], 1),
            "after": round(after_mib, 1),
        },
        "cpu_share": {**use["cpu_share"], "load": first["cpu_share"], "second load": second["cpu_share"]},
        "cpu": cpu_each(
            "served call", first["accepted_in_all"] + second["accepted_in_all"], use["cpu_from"], use["cpu_to"]
        ),
        "goals": met,
        "void": void,
        "met": void is None and all(met.values()),
        "machine": machine(),
    }


def left_by_load(alone: Sequence[dict[str, Any]], *overload: dict[str, Any]) -> float:
    """Return how much of all processors the load leaves to the others, as a share of what it leaves at the capacity."""
    cpus = os.cpu_count() or 1
    left: float = (cpus - sum(run["cpu_share"] for run in overload)) / (
        cpus - median(run["cpu_share"] for run in alone)
    )
    return left


async def _check(settings: Settings, accepted: int) -> dict[str, int]:
    """Raise VoidRunError when Kafka has fewer commands than calls were accepted."""
    commands = await records_of(settings.kafka, places(settings, "orders.commands"))
    stored = sum(1 for record in commands if not record.key.startswith(b"~"))
    if stored < accepted:
        raise VoidRunError(f"void: {accepted} accepted, {stored} commands in Kafka")
    return {"accepted": accepted, "commands": stored}


def _text(result: dict[str, Any]) -> str:
    first, second, quiet, memory = result["first"], result["second"], result["quiet"], result["memory_mib"]
    goals = {
        "served": f"{result['achieved_per_s']:,.0f}/s of {result['capacity_per_s']:,.0f}/s alone: {result['ratio']}"
        f" (goal {SERVED_GOAL}); beside the load's own use of processors {result['ratio_beside_load']}",
        "refused": f"p50 {first['refused_ms']['p50']} ms, p99 {first['refused_ms']['p99']} ms"
        f" (goal {REFUSED_P99_GOAL_MS:.0f}), {first['refused']:,} requests, {first['codes']}",
        "accepted": f"p50 {first['accepted_ms']['p50']} ms, p99 {first['accepted_ms']['p99']} ms"
        f" (goal {ACCEPTED_P99_GOAL_MS:.0f})",
        "second_all_200": f"{second['accepted']:,} of {second['offered']:,}, {second['codes'] or 'none refused'}",
        "second_p99": f"{second['accepted_ms']['p99']} ms, alone {quiet['accepted_ms']['p99']} ms"
        f" (goal {QUIET_FACTOR_GOAL:.0f} x alone + {QUIET_MORE_GOAL_MS:.0f} ms)",
        "memory": f"{memory['before']} MiB before, {memory['peak']} at most, {memory['after']} a minute later"
        f" (goal {MEMORY_GOAL} x)",
        "drained": f"{first['drained_s']} s (goal {DRAINED_GOAL_S:.0f})",
    }
    lines = [f"{'met   ' if result['goals'][name] else 'MISSED'} {name:16}{said}" for name, said in goals.items()]
    void = f"VOID: {result['void']}\n" if result["void"] else ""
    return (
        f"\n{void}offered {result['offered_per_s']:,.0f}/s, sent {result['sent_per_s']:,.0f}/s;"
        f" processors: {result['cpu_share']}\n" + "\n".join(lines) + f"\n{cpu_text(result['cpu'], 'overload')}\n"
        f"{cpu_text(result['reference_cpu'], 'capacity')}"
    )
