"""`sluice bench runtime`: the streams runtime beside quixstreams and Kafka Streams, on the same job and broker.

The three systems take turns in one run, each as a process of its own, on a source topic that is filled before. The rate
is measured between 20 and 90 % of the output, so that neither a JVM that warms up nor the last group counts.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from bench.processes import cpu_text, end, machine, memory_mib, sayer, scratch_kafka, watch_cpu
from bench.runtime.job import KEYS, PARTITIONS, PREFIX, SOURCE, check, fill, full_name, make_topics
from bench.runtime.latency import Latency, measure
from bench.runtime.watch import watch
from sluice.dev.local.jars import KAFKA_VERSION, cache_dir, find_java
from sluice.errors import StartError

EVENTS_PER_SECOND = 30_000
"""Events for each second of `--seconds`, so that a run takes near as long on any machine."""
EVENTS_MIN = 50_000
ROUNDS = 2
"""Runs of each system, in turns; its best run counts."""
OURS, STREAMS, QUIX = "sluice", "kafka-streams", "quixstreams"
RATIO_GOAL, RATIO_QUIX_GOAL = 1.2, 2.0
_ROOT = Path(__file__).parents[2]
_JAVA = Path(__file__).with_name("java")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one system. `wrong` says what is wrong with its output."""

    system: str
    events_per_s: float
    cpu: dict[str, Any]
    """CPU of each part (bench.processes.cpu_each); the system itself is one of them."""
    memory_mib: float
    wrong: str

    @property
    def cpu_us_per_event(self) -> float:
        return float(self.cpu["us"][self.system])


@dataclass(frozen=True, slots=True)
class Place:
    """Broker and scratch directory of a benchmark."""

    bootstrap: str
    directory: Path
    streams_classpath: str


def main(seconds: float, as_json: bool) -> int:
    if importlib.util.find_spec(QUIX) is None:
        raise StartError(
            f"the benchmark runtime compares with {QUIX}, which is not installed; `make setup` installs it"
        )
    say = sayer(as_json=as_json)
    events = max(EVENTS_MIN, int(seconds * EVENTS_PER_SECOND))
    with scratch_kafka() as (kafka, directory):
        classpath = _compile(directory, say)
        result = asyncio.run(_compare(Place(kafka, directory, classpath), events, say))
    if not as_json:
        _report(result)
    print(json.dumps(result))
    return 0 if result["checked"] else 1


async def _compare(place: Place, events: int, say: Callable[[str], None]) -> dict[str, Any]:
    await make_topics(place.bootstrap, [full_name(SOURCE), full_name("commands.rejected"), full_name("skips")])
    say(f"filling {events} orders over {KEYS} keys and {PARTITIONS} partitions ...")
    started = time.monotonic()
    await fill(place.bootstrap, events)
    offered = events / (time.monotonic() - started)
    runs: list[Run] = []
    for number in range(ROUNDS):
        for system in (QUIX, STREAMS, OURS):
            run = await run_one(place, system, number, events)
            wrong = f"  WRONG: {run.wrong}" if run.wrong else ""
            say(f"{system:14} {run.events_per_s:9,.0f} events/s  {run.cpu_us_per_event:6.1f} us CPU each{wrong}")
            runs.append(run)
    latency = await measure(place.bootstrap, lambda name: _start(place, OURS, name))
    return _result(runs, events, offered, latency)


async def run_one(place: Place, system: str, number: int, events: int) -> Run:
    name = f"{system}-{number}"
    out = full_name(f"{name}.out")
    await make_topics(place.bootstrap, [out] + ([full_name(f"{name}.state")] if system == OURS else []))
    process = _start(place, system, name)
    try:
        partitions = [TopicPartition(out, partition) for partition in range(PARTITIONS)]
        worked = await watch(place.bootstrap, partitions, events, process)
        memory = memory_mib(process.pid, peak=True)
    finally:
        await asyncio.to_thread(end, process)
    return Run(system, worked.records_per_s, worked.cpu, memory, await check(place.bootstrap, out, events))


def _start(place: Place, system: str, name: str) -> subprocess.Popen[bytes]:
    state = place.directory / f"state-{name}"
    source, out = full_name(SOURCE), full_name(f"{name}.out")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    if system == OURS:
        environment |= {
            "SLUICE_KAFKA": place.bootstrap,
            "SLUICE_TOPIC_PREFIX": PREFIX,
            "SLUICE_PARTITIONS": str(PARTITIONS),
            "SLUICE_ADMIN_PORT": "0",
        }
        command = [sys.executable, "-m", "bench.runtime.ours", name]
    elif system == QUIX:
        command = [sys.executable, "-m", "bench.runtime.quix", place.bootstrap, source, out, name, str(state)]
    else:
        java = [find_java(), "-Xmx1g", "-cp", place.streams_classpath, "OrderCount"]
        command = [*java, place.bootstrap, source, out, name, str(state), "1"]
    with (place.directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the commands are ours
            command, cwd=place.directory, env=environment, stdout=log, stderr=log
        )
    watch_cpu(system, process.pid)
    return process


def _result(runs: list[Run], events: int, offered: float, latency: Latency) -> dict[str, Any]:
    best = {system: max((r for r in runs if r.system == system), key=lambda r: r.events_per_s) for system in _ORDER}
    ours, streams, quix = (best[system].events_per_s for system in _ORDER)
    return {
        "bench": "runtime",
        "offered_per_s": round(offered),
        "achieved_per_s": round(ours),
        "reference_per_s": round(streams),
        "ratio": round(ours / streams, 3),
        "reference": f"Kafka Streams {KAFKA_VERSION}, cache 0, commit 1 s",
        "quixstreams_per_s": round(quix),
        "ratio_quixstreams": round(ours / quix, 3),
        "latency_ms": {"p50": latency.p50_ms, "p99": latency.p99_ms, "offered_per_s": latency.offered_per_s},
        "events": events,
        "cpu": best[OURS].cpu,
        "reference_cpu": best[STREAMS].cpu,
        "runs": {
            system: [
                {
                    "per_s": round(run.events_per_s),
                    "cpu_us_per_event": round(run.cpu_us_per_event, 1),
                    "cpu": run.cpu,
                    "memory_mib": round(run.memory_mib),
                }
                for run in runs
                if run.system == system
            ]
            for system in _ORDER
        },
        "ratios": [
            round(mine.events_per_s / theirs.events_per_s, 3)
            for mine, theirs in zip(_of(runs, OURS), _of(runs, STREAMS), strict=True)
        ],
        "ratio_median": round(
            statistics.median(
                mine.events_per_s / theirs.events_per_s
                for mine, theirs in zip(_of(runs, OURS), _of(runs, STREAMS), strict=True)
            ),
            3,
        ),
        "machine": machine(),
        "checked": not any(run.wrong for run in runs),
    }


_ORDER = (OURS, STREAMS, QUIX)


def _of(runs: list[Run], system: str) -> list[Run]:
    return [run for run in runs if run.system == system]


def _report(result: dict[str, Any]) -> None:
    latency = result["latency_ms"]
    print(
        f"\nsluice {result['achieved_per_s']:,}/s, Kafka Streams {result['reference_per_s']:,}/s,"
        f" quixstreams {result['quixstreams_per_s']:,}/s (outputs {'correct' if result['checked'] else 'WRONG'})\n"
        f"ratio to Kafka Streams {result['ratio']} (goal {RATIO_GOAL}),"
        f" to quixstreams {result['ratio_quixstreams']} (goal {RATIO_QUIX_GOAL})\n"
        f"latency from produce to effect at {latency['offered_per_s']}/s:"
        f" p50 {latency['p50']} ms, p99 {latency['p99']} ms\n"
        f"{cpu_text(result['cpu'])}\n{cpu_text(result['reference_cpu'], 'Kafka Streams')}"
    )


def _compile(directory: Path, say: Callable[[str], None]) -> str:
    """Compile the Kafka Streams job; return its class path."""
    javac = shutil.which("javac")
    if javac is None:
        raise StartError(
            "javac is missing: the benchmark compiles its Kafka Streams job.\n  apt install openjdk-17-jdk"
        )
    jars = _streams_jars(say)
    classes = directory / "classes"
    done = subprocess.run(  # noqa: S603 - the command is ours
        [javac, "-cp", f"{jars}/*", "-d", str(classes), str(_JAVA / "OrderCount.java")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(f"javac failed:\n{done.stdout}{done.stderr}")
    return f"{classes}:{jars}/*"


def _streams_jars(say: Callable[[str], None]) -> Path:
    """Return the directory of Kafka Streams' jars, fetched once by Maven into the user's cache."""
    final = cache_dir().with_name(f"kafka-streams-{KAFKA_VERSION}")
    if (final / f"kafka-streams-{KAFKA_VERSION}.jar").is_file():
        return final
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError("Maven is missing: it fetches Kafka Streams once.\n  apt install maven")
    say("fetching Kafka Streams (once, about 80 MB) ...")
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as scratch:
        shutil.copy(_JAVA / "pom.xml", scratch)
        jars = Path(scratch) / "jars"
        done = subprocess.run(  # noqa: S603 - the command is ours
            [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartError(f"Maven could not fetch Kafka Streams:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        if not final.exists():
            jars.rename(final)
    return final
