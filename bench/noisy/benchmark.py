"""`sluice bench noisy`: what a channel's small orders take while another channel sends the worst that the limits allow.

One gateway, one orders worker and one delivery worker, as users start them, on a real Kafka; a slow Increff. A quiet
channel sends Create Outward Order, the contract's sample, at a steady rate (open loop, from the time a request was
due): first alone, then while the noisy channel sends large orders on four connections (closed loop). Void when an
answer to the quiet channel was not 200, or the generator was late itself while the quiet channel was alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.ingress.benchmark import request_spec
from bench.processes import (
    Started,
    cpu_each,
    cpu_now,
    cpu_text,
    end,
    late_load,
    machine,
    memory_mib,
    module_result,
    quiet_client,
    run_module,
    running,
    sayer,
    scratch_kafka,
    start_module,
)
from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import load_settings
from topics.kafka.admin import create

PER_S = 50
"""Orders a second of the quiet channel: far below its share, so that it should never notice another."""
CONNECTIONS = 32
NOISY_CONNECTIONS = 4
FAR_SIDE_S = 1.0
"""Time of the slow Increff for a request, so large requests wait and are in flight at the same time."""
TIMES_MAX, MORE_MS_MAX = 3.0, 20.0
"""Goal: the quiet channel's p99 beside noise is below TIMES_MAX times its p99 alone, and MORE_MS_MAX more."""
WARM_UP_S = 3.0
NOISE_BEFORE_S = 2.0
"""How long the noise goes on before the quiet channel is measured."""
PARTS: Mapping[str, str] = {
    "lines": "2,500 lines with every member, 4 MiB",
    "texts": "as many values as a body may have, 4 MiB",
    "lists": "1.4 million empty lists, 4 MiB, which the limit refuses",
}
QUIET, NOISY = "quiet", "demo"
_HEADERS = {"authUsername": QUIET, "authPassword": "quiet-secret", "authDomainName": "demo"}


def main(seconds: float, as_json: bool, parts: Sequence[str] = ()) -> int:
    """Return 0 when the goal was met beside each kind of noise."""
    say = sayer(as_json=as_json)
    quiet_client()
    with ExitStack() as stack:
        kafka, directory = stack.enter_context(scratch_kafka())
        increff = stack.enter_context(_far_side())
        data = _channels(increff)
        file = directory / "channels.toml"
        file.write_text(_toml(data), encoding="utf-8")
        settings = load_settings(kafka=kafka, topic_prefix="bench")
        asyncio.run(create(settings, parse_channels(data, where="benchmark")))
        more = {"SLUICE_CHANNELS_FILE": str(file)}
        roles = {
            name: stack.enter_context(running(name, settings, directory, more=more))
            for name in ("orders", "delivery", "gateway")
        }
        result = _measure(roles, seconds, parts or tuple(PARTS), say)
    print(json.dumps(result) if as_json else _text(result) + "\n" + json.dumps(result))
    return 0 if result["met"] else 1


def _measure(
    roles: Mapping[str, Started], seconds: float, parts: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    port = roles["gateway"].port
    seconds = max(seconds, 10.0)
    _quiet(port, "W", WARM_UP_S)
    before = _memory(roles)
    alone = _quiet(port, "A", seconds)
    say(f"alone: p50 {alone['p50_ms']} ms, p99 {alone['p99_ms']} ms at {alone['achieved_per_s']}/s")
    limit_ms = round(TIMES_MAX * alone["p99_ms"] + MORE_MS_MAX, 1)
    noisy: dict[str, Any] = {}
    for number, kind in enumerate(parts):
        noisy[kind] = one = _beside(kind, roles, f"N{number}", seconds)
        say(f"{PARTS[kind]}: p50 {one['p50_ms']} ms, p99 {one['p99_ms']} ms (goal {limit_ms}), answers {one['noise']}")
    late = late_load(alone)
    lost = [kind for kind, one in noisy.items() if one["accepted"] < one["offered"]]
    return {
        "bench": "noisy",
        "offered_per_s": PER_S,
        "achieved_per_s": min(one["achieved_per_s"] for one in (alone, *noisy.values())),
        "alone": alone,
        "noisy": noisy,
        "p99_ratio": {kind: round(one["p99_ms"] / alone["p99_ms"], 2) for kind, one in noisy.items()},
        "goal_ms": limit_ms,
        "void": late,
        "not_accepted": lost,
        "memory_mib": {"before": before, "peak": _memory(roles, peak=True)},
        "met": not late and not lost and all(one["p99_ms"] < limit_ms for one in noisy.values()),
        "machine": machine(),
    }


def _quiet(port: int, prefix: str, seconds: float) -> dict[str, Any]:
    before = cpu_now()
    spec = {**request_spec(port, prefix), "headers": _HEADERS, "connections": CONNECTIONS}
    found = run_module("bench.verdict.load", {**spec, "seconds": seconds, "per_s": PER_S})
    cpu = cpu_each("order of the quiet channel", found["accepted"], before)
    return {**found, "achieved_per_s": round(found["accepted"] / found["seconds"], 1), "cpu": cpu}


def _beside(kind: str, roles: Mapping[str, Started], prefix: str, seconds: float) -> dict[str, Any]:
    """Measure the quiet channel while the noisy one sends bodies of this kind."""
    port = roles["gateway"].port
    lasts = NOISE_BEFORE_S + seconds + 1.0
    spec = {**request_spec(port, prefix), "kind": kind, "connections": NOISY_CONNECTIONS, "seconds": lasts}
    before = cpu_now()
    noise = start_module("bench.noisy.noise", json.dumps(spec), stdout=subprocess.PIPE)
    try:
        _wait_s(noise, NOISE_BEFORE_S)
        found = _quiet(port, "Q" + prefix, seconds)
        sent = module_result(noise)
    finally:
        end(noise)
    used = {part: round(ends - before.get(part, 0.0), 1) for part, ends in cpu_now().items()}
    # An order beside noise cannot be told from it: the CPU of all is that of the whole time, in seconds.
    return {**found, "noise": sent, "cpu_s": used, "memory_mib": _memory(roles)}


def _wait_s(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise RuntimeError("the noise has ended already")


def _memory(roles: Mapping[str, Started], *, peak: bool = False) -> dict[str, int]:
    return {name: round(memory_mib(role.process.pid, peak=peak)) for name, role in roles.items()}


@contextmanager
def _far_side() -> Iterator[int]:
    (port,) = free_ports(1)
    process = start_module("bench.noisy.far_side", str(port), str(FAR_SIDE_S), env=dict(os.environ))
    try:
        yield port
    finally:
        end(process)


def _channels(increff_port: int) -> dict[str, Any]:
    """Return the data of a `channels.toml` with two channels."""
    data = demo_channels(increff_port)
    demo: dict[str, Any] = data["channels"][NOISY]
    quiet = {**demo, "credentials": {**demo["credentials"], "username": QUIET, "password": "quiet-secret"}}
    return {**data, "channels": {NOISY: demo, QUIET: quiet}}


def _toml(data: Mapping[str, Any], where: Sequence[str] = ()) -> str:
    """Return nested tables of texts, numbers and lists as TOML."""
    own = "".join(f"{name} = {json.dumps(value)}\n" for name, value in data.items() if not isinstance(value, dict))
    head = f"[{'.'.join(where)}]\n" if where else ""
    inner = [_toml(value, (*where, name)) for name, value in data.items() if isinstance(value, dict)]
    return head + own + "".join(inner)


def _text(result: Mapping[str, Any]) -> str:
    row = "{:10} {:>9} {:>9} {:>9} {:>7}  {}".format
    rows = [row("noise", "p50 ms", "p99 ms", "max ms", "ratio", "answers to the noise")]
    for name, one in {"none": result["alone"], **result["noisy"]}.items():
        ratio = result["p99_ratio"].get(name, 1.0)
        answers = one["noise"]["answers"] if "noise" in one else ""
        rows.append(row(name, one["p50_ms"], one["p99_ms"], one["max_ms"], ratio, answers))
    void = [f"VOID: {result['void']}"] if result["void"] else []
    lost = [f"not all accepted beside: {', '.join(result['not_accepted'])}"] if result["not_accepted"] else []
    goal = f"goal: p99 below {result['goal_ms']} ms ({TIMES_MAX:g} times that alone, and {MORE_MS_MAX:g} ms)"
    cpu = [cpu_text(result["alone"]["cpu"], "alone")]
    cpu += [f"CPU seconds beside {name}: {one['cpu_s']}" for name, one in result["noisy"].items()]
    return "\n".join([*void, *lost, *rows, goal, *cpu, f"memory {result['memory_mib']} MiB"])
