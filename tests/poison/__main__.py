"""The whole run: `python -m tests.poison [RECORDS [SEED]]`. Ends with 1 when a role ended, stands still or grew."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.stack import Stack
from tests.poison.run import Report, Run, grew

RECORDS, SEED, BATCH = 100_000, 1, 40
GROWTH_MAX = 1.25
"""Memory of the last quarter of the run over that of the second, when caches are filled."""


def main(arguments: Sequence[str]) -> int:
    try:
        records, seed = [*map(int, arguments), *(RECORDS, SEED)[len(arguments) :]]
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(tempfile.mkdtemp(prefix="sluice-poison-"))
    stack = Stack(directory / "data")
    began = time.monotonic()
    try:
        stack.start()
        report = asyncio.run(_run(stack, records, seed))
    except AssertionError as error:
        print(error, stack.tail(), f"logs and topics are kept in {directory}", sep="\n", file=sys.stderr)
        return 1
    finally:
        stack.close()
    shutil.rmtree(directory)
    growth = {role: grew(found) for role, found in report.memory_mb.items()}
    print(
        f"{report.sent.total()} records on {len(report.sent)} topics in {time.monotonic() - began:.0f} s, seed {seed}"
    )
    print(f"by topic {dict(report.sent)}, by kind {dict(report.kinds)}; {report.refused} were refused by Kafka")
    print(f"{report.orders} orders came through; memory in MB: {report.memory_mb}")
    print(f"roles ended: {len(report.ended)}; growth: {growth}")
    return 1 if report.ended or any(each > GROWTH_MAX for each in growth.values()) else 0


async def _run(stack: Stack, records: int, seed: int) -> Report:
    run = Run(stack, seed, BATCH, lambda said: print(said, flush=True))
    report = await run.poison(records)
    await run.restart()
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
