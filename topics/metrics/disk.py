"""The disk with a process's state directory, as metrics of that process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from topics.metrics import made


class Disk(Collector):
    """`directory` need not exist yet: its nearest parent that does is on the same disk, or will tell."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def collect(self) -> Iterator[Metric]:
        there = next(path for path in (self._directory, *self._directory.parents) if path.exists())
        found = os.statvfs(there)
        yield made.gauge_family("sluice_disk_free_bytes", found.f_bavail * found.f_frsize)
        yield made.gauge_family("sluice_disk_size_bytes", found.f_blocks * found.f_frsize)
