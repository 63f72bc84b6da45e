"""A table's values take the memory of their bytes, whatever buffer the encoder wrote them in."""

from __future__ import annotations

import sys
import tracemalloc

import orjson

from streams.runtime.tables.partition_table import PartitionState

KEYS = 500
OVERHEAD_BYTES_MAX = 600
"""Per key: two dict entries, the key, two numbers and the object around the value."""


def test_a_value_does_not_keep_its_encoders_buffer() -> None:
    """orjson returns its whole buffer of some KiB; kept as it is, a million small states would be gigabytes."""
    state = PartitionState(0, ["state"])
    (table,) = state.all
    value = {"orderCode": "x" * 100}
    tracemalloc.start()
    for number in range(KEYS):
        state.offset = number
        table.put(b"%d" % number, orjson.dumps(value))
        table.merge()
        table.dirty.clear()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / KEYS < sys.getsizeof(orjson.dumps(value)) + OVERHEAD_BYTES_MAX
