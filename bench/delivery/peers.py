"""The processes around a delivery worker in its benchmarks: who receives, who else sends, who asks for deliveries."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.delivery.job import SECRET, Work
from bench.delivery.load import WARM_UP_S, due_s
from bench.processes import READY_S, VoidRunError, cpu_s, end
from sluice.dev.local.ports import free_ports
from sluice.dev.torture.log import Signed
from sluice.dev.torture.signatures import checker, judge

POLL_S = 0.2
"""Between two looks at the receiver: to be looked at costs it, too."""
STALL_S = 30.0
"""Nothing came for so long: the run is over."""
LATE_SHARE_MAX = 0.05
"""A late request counts from when it was due, so lateness makes the figures worse; beyond this it makes them up."""


class Receiver:
    """The receiving process, as the benchmark talks to it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def begin(self, latency_ms: float = 0.0) -> None:
        """Forget what came, and answer after so long from now on."""
        self._ask(f"_begin?{latency_ms}")

    def told(self) -> dict[str, Any]:
        return self._ask("_told")

    def arrivals(self) -> dict[str, float]:
        """Delivery id -> when it came first, epoch milliseconds."""
        return self._ask("_arrivals")

    def _ask(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def wait(self, deliveries: int, look: Callable[[float, int], None] = lambda _at, _count: None) -> None:
        """Returns when so many came. `look` is told the time and how many there are, again and again."""
        count, moved = -1, time.monotonic()
        while count < deliveries:
            now, before = time.monotonic(), count
            count = self.told()["deliveries"]
            look(now, count)
            if count > before:
                moved = now
            elif now - moved > STALL_S:
                raise VoidRunError(f"void: {count} of {deliveries} deliveries came, and then nothing")
            time.sleep(POLL_S)

    def check(self, deliveries: int) -> None:
        """Void unless all came once, in the order of their lanes, and signed."""
        told = self.told()
        found = (told["deliveries"], told["requests"], told["inversions"])
        if found != (deliveries, deliveries, 0):
            raise VoidRunError(
                f"void: {found[0]} of {deliveries} deliveries in {found[1]} requests, {found[2]} inverted"
            )
        head, _, body = told["sample"].partition("\r\n\r\n")
        lines = (line.partition(": ") for line in head.split("\r\n")[1:])
        headers = {name.lower(): content for name, _, content in lines}
        signed = judge([checker(SECRET)], headers, body.encode("latin-1"), time.time())
        if signed is not Signed.RIGHT:
            raise VoidRunError(f"void: the signature of a delivery is {signed}")


@contextmanager
def receiving() -> Iterator[Receiver]:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "bench.delivery.receiver", str(port)])  # noqa: S603 - our own
    try:
        receiver = Receiver(process, port)
        _wait_ready(receiver)
        yield receiver
    finally:
        end(process)


def _wait_ready(receiver: Receiver) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and receiver.process.poll() is None:
        try:
            receiver.told()
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)  # not yet: it starts
        else:
            return
    raise VoidRunError("the receiver did not start")


def run_peer(module: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a module of the benchmarks in a process of its own; returns what it says at its end."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module, json.dumps(spec)], capture_output=True, check=False
    )
    if done.returncode:
        raise VoidRunError(f"{module} failed: {done.stderr.decode()[-500:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def due_ms(load: Mapping[str, Any], work: Work) -> dict[str, float]:
    """When each request of a steady load was due, by its delivery id."""
    began_ms, per_s = load["began_ms"], load["per_s"]
    return {work.request(number, 0).id: began_ms + 1000 * due_s(number, per_s) for number in range(load["offered"])}


def steady_ms(load: Mapping[str, Any]) -> float:
    """From when on it counts: the warm-up is over."""
    return float(load["began_ms"]) + 1000 * WARM_UP_S


def void_because(load: Mapping[str, Any]) -> str | None:
    """Why a steady load measured nothing; None when it did."""
    late, offered = load["late"], load["offered"]
    return f"the load itself was late for {late} of {offered} requests" if late > LATE_SHARE_MAX * offered else None


def quantile_ms(took: list[float], share: float) -> float:
    ordered = sorted(took)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0


class Watch:
    """Rate and processor time of a delivery process between two shares of its work."""

    FROM, TO = 0.2, 0.9

    def __init__(self, pid: int, deliveries: int) -> None:
        self._pid = pid
        self._wanted = deliveries
        self._samples: list[tuple[float, int, float]] = []

    def __call__(self, at: float, count: int) -> None:
        self._samples.append((at, count, cpu_s(self._pid)))

    def result(self) -> tuple[float, float]:
        """Deliveries per second, and CPU microseconds for each."""
        first = next(sample for sample in self._samples if sample[1] >= self.FROM * self._wanted)
        last = next(sample for sample in self._samples if sample[1] >= self.TO * self._wanted)
        done = last[1] - first[1]
        if done <= 0:
            raise VoidRunError("void: so few deliveries that one look saw all of them")
        return done / (last[0] - first[0]), 1e6 * (last[2] - first[2]) / done
