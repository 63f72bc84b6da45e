"""`sluice bench recovery`: the time until orders move again, after a cold start and after a worker was killed.

Cold: `orders.state` is filled with a million orders of about 1 KB, as the orders role writes them; measured from the
start of `sluice run orders` until it is ready. Failover: two workers share these orders under steady traffic, and one
gets kill -9 (bench.recovery.failover). The memory of an open order is the difference to a worker without orders.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.orders.job import CHANNEL, code_of, stored_state
from bench.processes import (
    VoidRunError,
    cpu_each,
    cpu_now,
    cpu_text,
    demo,
    machine,
    memory_mib,
    metric,
    places,
    quiet_client,
    running,
    sayer,
    scratch_kafka,
    start_role,
)
from bench.recovery.failover import Failover, fail_over
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create
from topics.records.keys import order_key, partition_of
from topics.records.reading import MADE_BY

ORDERS_PER_SECOND = 100_000
"""Orders for each second of `--seconds`: a million by default."""
ORDERS_MIN = 50_000
COLD_GOAL_S = 10.0
MEMORY_GOAL_BYTES = 1_000
"""For an open order."""
COLD_READY_S = 180.0
BATCH_RECORDS = 500


def main(seconds: float, as_json: bool) -> int:
    """Return 0 when the goals were met."""
    say = sayer(as_json=as_json)
    quiet_client()
    orders = max(ORDERS_MIN, int(seconds * ORDERS_PER_SECOND))
    with scratch_kafka() as (kafka, directory):
        settings = load_settings(kafka=kafka, topic_prefix="recovery")
        cold = _cold(settings, directory, orders, say)
        failover = asyncio.run(fail_over(settings, directory, cold["records"], say))
    result = _result(cold, failover)
    if not as_json:
        _report(result)
    print(json.dumps(result))
    return 0 if result["met"] else 1


def _cold(settings: Settings, directory: Path, orders: int, say: Callable[[str], None]) -> dict[str, Any]:
    asyncio.run(create(settings, demo()))
    with running("orders", settings, directory) as role:
        empty_mib = memory_mib(role.process.pid)
    say(f"filling the state of {orders:,} orders ...")
    size = asyncio.run(fill_state(settings, orders))
    started, before = time.monotonic(), cpu_now()
    role = start_role("orders", settings, directory)
    try:
        role.wait_ready(COLD_READY_S)
        cold_s = time.monotonic() - started
        cpu = cpu_each("order", orders, before)
        full_mib = memory_mib(role.process.pid)
        records = metric(role, "records_recovered_total")
        recovery_s, keys = metric(role, "recovery_seconds"), metric(role, 'table_keys{table="orders.state"}')
    finally:
        role.end()
    if keys != orders:
        raise VoidRunError(f"void: {keys:,.0f} orders were recovered of {orders:,}")
    say(f"ready after {cold_s:.1f} s, {recovery_s:.1f} s of them reading; {full_mib:,.0f} MiB")
    return {
        "orders": orders,
        "records": round(records),
        "state_bytes": size,
        "cold_s": round(cold_s, 2),
        "read_s": round(recovery_s, 2),
        "records_per_s": round(records / recovery_s),
        "memory_mib": {"without_orders": round(empty_mib), "with_orders": round(full_mib)},
        "cpu": cpu,
        "memory_bytes_per_order": round((full_mib - empty_mib) * 1_048_576 / orders),
    }


async def fill_state(settings: Settings, orders: int) -> int:
    """Produce the state of so many orders; return its average size."""
    size = 0
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", max_batch_size=1 << 20)
    await producer.start()
    try:
        targets = places(settings, "orders.state")
        builders = [producer.create_batch() for _ in targets]
        for number in range(orders):
            partition = partition_of(order_key(CHANNEL, code_of(number)), settings.partitions)
            for key, value, origin in stored_state(number):
                size += len(value)
                made_by = [(MADE_BY, b"1/%d" % origin)]
                builders[partition].append(timestamp=None, key=key, value=value, headers=made_by)
            if builders[partition].record_count() >= BATCH_RECORDS:
                await producer.send_batch(builders[partition], targets[partition].topic, partition=partition)
                builders[partition] = producer.create_batch()
        for partition, builder in enumerate(builders):
            await producer.send_batch(builder, targets[partition].topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()
    return size // orders


def _result(cold: dict[str, Any], failover: Failover) -> dict[str, Any]:
    return {
        "bench": "recovery",
        "cold_s": cold["cold_s"],
        "goal_s": COLD_GOAL_S,
        **{name: value for name, value in cold.items() if name != "cold_s"},
        "memory_goal_bytes": MEMORY_GOAL_BYTES,
        "failover": failover.result(),
        "met": cold["cold_s"] <= COLD_GOAL_S and cold["memory_bytes_per_order"] <= MEMORY_GOAL_BYTES and failover.met(),
        "machine": machine(),
    }


def _report(result: dict[str, Any]) -> None:
    failover = result["failover"]
    print(
        f"\n{result['orders']:,} orders of {result['state_bytes']} bytes: ready {result['cold_s']} s after the start"
        f" (goal {result['goal_s']}), {result['read_s']} s of them reading\n"
        f"memory for each open order: {result['memory_bytes_per_order']} bytes (goal {MEMORY_GOAL_BYTES})\n"
        f"{cpu_text(result['cpu'], 'until it is ready')}\n"
        f"kill -9 of one of two workers at {failover['achieved_per_s']} events/s: all partitions moved again after"
        f" {failover['moved_s']} s (goal {failover['goal_s']}: session time-out {failover['session_timeout_s']} + 3),"
        f" {failover['duplicates_percent']} % of events repeated (goal below {failover['duplicates_goal_percent']})"
        + "".join(f"\n  {stage}: {took} s" for stage, took in failover["stages_s"].items())
        + f"\n{cpu_text(failover['cpu'], 'both workers, from the kill on the one')}"
        + (f"\nVOID: {failover['void']}" if failover["void"] else "")
    )
