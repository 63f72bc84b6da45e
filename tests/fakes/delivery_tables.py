"""Tables of the delivery role, in memory."""

from __future__ import annotations

from collections.abc import Iterator

from streams.runtime.role import Change
from streams.runtime.tables.partition_table import NO_OFFSET
from topics.stock.position_map import PositionMap
from topics.stock.positions import is_position


class MemoryTable:
    """One partition of a table."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.values[key] = value

    def delete(self, key: bytes) -> None:
        self.values.pop(key, None)

    def is_made_from(self, key: bytes) -> bool:
        return False

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(self.values.items()))

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, self.values[key]) for key in sorted(self.values) if key.startswith(prefix)])

    def __len__(self) -> int:
        return len(self.values)


class StockTable(MemoryTable):
    """One whose values are positions, kept compactly as well."""

    def __init__(self) -> None:
        super().__init__()
        self.map = PositionMap()

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        if is_position(key):
            self.map.put(key, value, NO_OFFSET)

    def delete(self, key: bytes) -> None:
        super().delete(key)
        self.map.delete(key)


class WatchedTable(MemoryTable):
    """Passes puts through and notes them, as the runtime does for `changed`."""

    def __init__(self, table: MemoryTable, name: str, changes: list[Change]) -> None:
        super().__init__()
        self.values = table.values
        self._name = name
        self._changes = changes

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        self._changes.append(Change(self._name, key, value))

    def delete(self, key: bytes) -> None:
        super().delete(key)
        self._changes.append(Change(self._name, key, None))
