"""The whole check: `python -m tests.exhaustive [FAMILY ...]`. Ends with 1 when a history ends in what must not be."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from tests.exhaustive.explorer import Explored
from tests.exhaustive.families import FAMILIES
from tests.exhaustive.running import run

SHOWN_MAX = 20
"""Different findings that are printed."""


def main(names: Sequence[str]) -> int:
    unknown = sorted(set(names) - set(FAMILIES))
    if unknown:
        print(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    workers = os.cpu_count() or 1
    total = Explored()
    begun = time.monotonic()
    for name in names or FAMILIES:
        scenarios = list(FAMILIES[name]())
        started = time.monotonic()
        found = run(scenarios, workers)
        total.add(found)
        took_s = time.monotonic() - started
        print(
            f"{name:12}{len(scenarios):6} scenarios {found.histories:>20,} histories {found.worlds:>10,} worlds "
            f"{found.steps:>10,} steps {found.decisions:>10,} decisions {took_s:8.1f} s",
            flush=True,
        )
    print(f"\n{total.histories:,} histories, at most {total.longest} steps long, in {time.monotonic() - begun:.1f} s")
    print("outcomes, with their histories:")
    for outcome, histories in total.outcomes.most_common():
        print(f"  {histories:>22,}  {outcome}")
    different = list({finding.what: finding for finding in total.findings}.values())
    for finding in different[:SHOWN_MAX]:
        print(f"\nFOUND: {finding}")
    print(f"\n{len(different)} findings")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
