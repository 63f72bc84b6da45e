"""The processes around a delivery worker in its benchmarks: the receiver, and measures of what it received."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from bench.delivery.job import SECRET, DeliveryWork
from bench.delivery.load import WARM_UP_S, due_s
from bench.processes import READY_S, VoidRunError, cpu_each, cpu_now, end, start_module
from sluice.dev.local.ports import free_ports
from sluice.dev.torture.log import Signed
from sluice.dev.torture.signatures import checker, judge

POLL_S = 0.2
"""Pause between two questions to the receiver: each costs it time."""
RECEIVER = "bench.delivery.receiver"
STALL_S = 30.0
"""Without any arrival for so long, the run is void."""


class ReceiverProcess:
    """The receiving process, as its benchmark talks to it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    def url(self, path: str) -> str:
        return f"{self.base}/{path}"

    def begin(self, latency_ms: float = 0.0) -> None:
        """Forget everything received, and pause so long before each answer from now on."""
        self.ask(f"_begin?{latency_ms}")

    def counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = self.ask("_counts")
        return counts

    def ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as answer:
            return json.load(answer)


class Receiver(ReceiverProcess):
    """The receiver of deliveries (bench.delivery.receiver)."""

    def arrivals(self) -> dict[str, float]:
        """Delivery id -> when it first arrived, epoch milliseconds."""
        arrivals: dict[str, float] = self.ask("_arrivals")
        return arrivals

    def wait(self, deliveries: int, look: Callable[[float, int], None] = lambda _at, _count: None) -> None:
        """Return when so many have arrived. Call `look` with the time and the count again and again."""
        count, moved = -1, time.monotonic()
        while count < deliveries:
            now, before = time.monotonic(), count
            count = self.counts()["deliveries"]
            look(now, count)
            if count > before:
                moved = now
            elif now - moved > STALL_S:
                raise VoidRunError(
                    f"void: {count} of {deliveries} deliveries arrived, then nothing for {STALL_S:.0f} s"
                )
            time.sleep(POLL_S)

    def check(self, deliveries: int) -> None:
        """Raise VoidRunError unless all arrived once, in the order of their lanes, and signed."""
        counts = self.counts()
        found = (counts["deliveries"], counts["requests"], counts["inversions"])
        if found != (deliveries, deliveries, 0):
            raise VoidRunError(
                f"void: {found[0]} of {deliveries} deliveries in {found[1]} requests, {found[2]} inverted"
            )
        head, _, body = counts["sample"].partition("\r\n\r\n")
        lines = (line.partition(": ") for line in head.split("\r\n")[1:])
        headers = {name.lower(): content for name, _, content in lines}
        signed = judge([checker(SECRET)], headers, body.encode("latin-1"), time.time())
        if signed is not Signed.RIGHT:
            raise VoidRunError(f"void: the signature of a delivery is {signed}")


ReceiverT = TypeVar("ReceiverT", bound=ReceiverProcess)


@contextmanager
def receiving(module: str, kind: type[ReceiverT]) -> Iterator[ReceiverT]:
    """Run a receiver, the module of the benchmarks with this name; yield it once it answers."""
    (port,) = free_ports(1)
    process = start_module(module, str(port))
    try:
        receiver = kind(process, port)
        _wait_ready(receiver)
        yield receiver
    finally:
        end(process)


def _wait_ready(receiver: ReceiverProcess) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and receiver.process.poll() is None:
        try:
            receiver.counts()
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)  # not yet: it starts
        else:
            return
    raise VoidRunError(f"{receiver.process.args!r} did not start")


def due_ms(load: Mapping[str, Any], work: DeliveryWork) -> dict[str, float]:
    """Return when each request of a steady load was due, by its delivery id."""
    began_ms, per_s = load["began_ms"], load["per_s"]
    return {work.request(number, 0).id: began_ms + 1000 * due_s(number, per_s) for number in range(load["offered"])}


def steady_ms(load: Mapping[str, Any]) -> float:
    """Return when the warm-up of a load was over, epoch milliseconds."""
    return float(load["began_ms"]) + 1000 * WARM_UP_S


def quantile_ms(took: list[float], share: float) -> float:
    ordered = sorted(took)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0


class Watch:
    """Rate of a delivery process and CPU of each part, between two shares of its work."""

    FROM, TO = 0.2, 0.9

    def __init__(self, deliveries: int) -> None:
        self._wanted = deliveries
        self._samples: list[tuple[float, int, Mapping[str, float]]] = []

    def __call__(self, at: float, count: int) -> None:
        self._samples.append((at, count, cpu_now()))

    def result(self) -> tuple[float, dict[str, Any]]:
        """Return deliveries per second, and the CPU of each part for one (bench.processes.cpu_each)."""
        first = next(sample for sample in self._samples if sample[1] >= self.FROM * self._wanted)
        last = next(sample for sample in self._samples if sample[1] >= self.TO * self._wanted)
        done = last[1] - first[1]
        if done <= 0:
            raise VoidRunError("void: all deliveries arrived between two questions to the receiver; measure for longer")
        return done / (last[0] - first[0]), cpu_each("delivery", done, first[2], last[2])
