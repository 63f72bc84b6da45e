"""The whole proof: `python -m tests.histories [HISTORIES [UPDATES [FIRST_SEED]]]`. Ends with 1 when one went wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.histories.world import Figures, history

HISTORIES = 200
UPDATES = 20_000
SHOWN_MAX = 20
"""Findings that are printed of one history."""


def one(seed: int, updates: int) -> tuple[int, Figures, list[str]]:
    logging.disable(logging.ERROR)  # what fails here fails on purpose
    return seed, *asyncio.run(history(seed, updates))


def main(arguments: Sequence[str]) -> int:
    histories, updates, first = ([int(each) for each in arguments] + [HISTORIES, UPDATES, 1][len(arguments) :])[:3]
    begun = time.monotonic()
    total: Counter[str] = Counter()
    deaths: Counter[str] = Counter()
    wrong = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for seed, figures, findings in pool.map(one, range(first, first + histories), [updates] * histories):
            told = f"{figures.updates} updates, {figures.calls} calls, {sum(figures.deaths.values())} deaths"
            print(f"seed {seed}: {told}, {len(findings)} findings", flush=True)
            for finding in findings[:SHOWN_MAX]:
                print(f"  FOUND: {finding}")
            wrong += [seed] if findings else []
            for name in ("updates", "records", "lulls", "calls", "told"):
                total[name] += getattr(figures, name)
            deaths.update(figures.deaths)
    took_s = time.monotonic() - begun
    print(f"\n{histories} histories in {took_s:.0f} s: " + ", ".join(f"{total[name]:,} {name}" for name in total))
    print("ended: " + ", ".join(f"{who} {count:,}" for who, count in deaths.most_common()))
    print(f"{len(wrong)} went wrong" + (f": seeds {wrong}" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
