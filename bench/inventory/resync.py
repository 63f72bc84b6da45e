"""A resync while deltas flow: a channel that has lost its stock is sent all of it again, and ends as the oracle.

Most SKUs do not change meanwhile: only the resync can send them. The others must end with their last quantity, whether
the resync or a delta was sent last.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.inventory.job import CHANNEL, expected, shelf, steady
from bench.inventory.peers import channel, stage
from bench.processes import VoidRunError, cpu_each, cpu_now, late_load, running

OFFERED_PER_S = 10_000
"""Positions of the deltas a second."""
REQUESTS_PER_S = 50
"""Budget of the channel; the resync gets what the deltas leave of it."""
SKUS = 20_000
"""SKUs of each location."""
SECONDS_MIN = 5.0
_TAKEN = 202
FIRST_S = 1.0
"""How long deltas flow before the resync is asked for."""


def resync(kafka: str, directory: Path, seconds: float) -> dict[str, Any]:
    work = steady(max(seconds, SECONDS_MIN), OFFERED_PER_S, skus=SKUS)
    wanted = expected(work)
    with ExitStack() as stack:
        far_side = stack.enter_context(channel())
        roles = stack.enter_context(stage(kafka, directory, "resync", far_side.base, REQUESTS_PER_S))
        gateway = stack.enter_context(running("gateway", roles.settings, directory, more=roles.more))
        roles.load(work)
        far_side.wait(shelf(work))
        far_side.begin()
        with ThreadPoolExecutor(1) as aside:
            loading = aside.submit(roles.load, work, OFFERED_PER_S / work.batch)
            while not far_side.counts()["requests"]:
                time.sleep(0.05)
            time.sleep(FIRST_S)
            asked, before = time.monotonic(), cpu_now()
            _ask(gateway.admin_port)
            load = loading.result()
        settled_s = far_side.wait(wanted.quantities)
        took_s = time.monotonic() - asked
        after = cpu_now()
        far_side.check()
        counts = far_side.counts()
    void = late_load(load, "batches")
    return {
        "offered_per_s": OFFERED_PER_S,
        "achieved_per_s": round(load["steady"] / load["seconds"]),
        "positions": sum(len(known) for known in wanted.quantities.values()),
        "changed": wanted.changed,
        "requests": counts["requests"],
        "positions_sent": counts["positions"],
        "cpu": {"from when it was asked for": cpu_each("position sent", counts["positions"], before, after)},
        "asked_to_end_s": round(took_s, 1),
        "load_to_end_s": round(settled_s, 1),
        "late": load["late"],
        "void": void,
        "met": void is None,
    }


def described(found: Mapping[str, Any]) -> str:
    return (
        f"{found['positions']:,} positions sent again beside {found['changed']:,} changes: the channel is as the "
        f"oracle {found['asked_to_end_s']} s after it was asked for, {found['load_to_end_s']} s after the last change"
    )


def _ask(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/api/inventory/preview/resync/{CHANNEL}")
        token = json.loads(connection.getresponse().read())["token"]
        act = json.dumps({"token": token, "reason": "a benchmark"})
        connection.request("POST", f"/api/inventory/resync/{CHANNEL}", act)
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    if answer.status != _TAKEN:
        raise VoidRunError(f"void: the resync was answered {answer.status} {raw[:300]!r}")
