"""Metrics that prometheus_client makes by itself of a process: memory, processor time, open files, Python."""

from __future__ import annotations

from typing import Final

from topics.metrics.definition import ALL, Metric, counter, gauge

CLIENT: Final[tuple[Metric, ...]] = (
    gauge("process_virtual_memory_bytes", "Virtual memory", ALL, unit="bytes"),
    gauge("process_resident_memory_bytes", "Resident memory", ALL, unit="bytes"),
    gauge("process_start_time_seconds", "Start of the process, in Unix time", ALL, unit="seconds"),
    counter("process_cpu_seconds_total", "Processor time, user and system", ALL, unit="seconds"),
    gauge("process_open_fds", "Open files", ALL),
    gauge("process_max_fds", "Files that the process may open", ALL),
    gauge(
        "python_info", "1, with the version of Python", ALL, "implementation", "major", "minor", "patchlevel", "version"
    ),
    counter("python_gc_objects_collected_total", "Objects that the garbage collector freed", ALL, "generation"),
    counter("python_gc_objects_uncollectable_total", "Objects that it could not free", ALL, "generation"),
    counter("python_gc_collections_total", "Collections", ALL, "generation"),
)
