"""The whole run: `python -m tests.torture [DELIVERIES [ORDERS]]`. Ends with 1 when the score is not clean."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sluice.dev.local.broker import private_broker
from sluice.dev.torture.report import render
from tests.torture.load import Load
from tests.torture.run import Run, torture
from topics.configuration.settings import Settings

DELIVERIES, ORDERS = 200_000, 2_000


def main(arguments: Sequence[str]) -> int:
    try:
        deliveries, orders = [*map(int, arguments), *(DELIVERIES, ORDERS)[len(arguments) :]]
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports each reconnect
    with tempfile.TemporaryDirectory() as name, private_broker(Path(name)) as broker:
        settings = Settings(kafka=broker.bootstrap, topic_prefix="torture", partitions=8)
        run = Run(load=Load(deliveries, orders), say=lambda said: print(said, flush=True))
        began = time.monotonic()
        found = asyncio.run(torture(run, settings, Path(name)))
        took_s = time.monotonic() - began
    print(f"\n{render(found)}\n\n{took_s:.0f} s; repeats allowed: {run.repeats_max}")
    return 1 if found.wrong or found.repeats > run.repeats_max else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
