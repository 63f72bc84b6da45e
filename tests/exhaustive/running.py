"""Many scenarios over all processors. A module of its own: a spawned worker does not know what is in `__main__`."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Sequence

from tests.exhaustive.explorer import Explored, Explorer
from tests.exhaustive.scenario import Scenario


def explore(scenario: Scenario) -> Explored:
    """One scenario, in a worker."""
    found = Explorer(scenario).run()
    gc.collect()
    return found


def run(scenarios: Sequence[Scenario], workers: int) -> Explored:
    """Many scenarios, the longest first, so that no worker is left alone with one at the end."""
    total = Explored()
    largest_first = sorted(scenarios, key=lambda one: -one.events)
    with multiprocessing.get_context("spawn").Pool(workers, initializer=gc.disable) as pool:
        for found in pool.imap_unordered(explore, largest_first):
            total.add(found)
    return total
