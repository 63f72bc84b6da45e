"""The parts that all tables of the journal share: catalogue, types of columns, and the months of their partitions.

Times are epoch milliseconds, texts of JSON are as they came. A row names the record that it is from: `partition` and
`record_offset` of the topic that the table's comment names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData(
    naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s", "pk": "%(table_name)s_pkey"},
)
MONTHLY: Final[dict[str, Any]] = {"postgresql_partition_by": "RANGE (received_ms)"}
"""Options of a table whose rows lie, in PostgreSQL, in the partition of the month in which their order was received."""
FIRST_YEAR: Final = 2020
LAST_YEAR: Final = 2099
"""Months outside of these years have no partition of their own: such a time is none at which an order came."""
NUL: Final = "\x00"
_INSTEAD_OF_NUL: Final = "\ufffd"


def without_nul(words: str) -> str:
    """A text as the journal has it: PostgreSQL takes no NUL, and SQLite is to have the same rows."""
    return words.replace(NUL, _INSTEAD_OF_NUL)


def text(name: str, comment: str, **options: Any) -> Column[str]:
    """A text that each row has, perhaps empty."""
    return _column(name, Text(), comment, options)


def number(name: str, comment: str, **options: Any) -> Column[int]:
    """A whole number of up to 64 bits; epoch milliseconds where the name ends in `_ms`."""
    return _column(name, BigInteger(), comment, options)


def small(name: str, comment: str, **options: Any) -> Column[int]:
    return _column(name, Integer(), comment, options)


def flag(name: str, comment: str, **options: Any) -> Column[bool]:
    return _column(name, Boolean(), comment, options)


def content(name: str, comment: str, **options: Any) -> Column[bytes]:
    return _column(name, LargeBinary(), comment, options)


def _column(name: str, kind: TypeEngine[Any], comment: str, options: dict[str, Any]) -> Column[Any]:
    return Column(name, kind, comment=comment, **{"nullable": False, **options})


def order_columns() -> tuple[Column[str], Column[int]]:
    """The order, return or manifest that a row belongs to, as the first columns of its primary key."""
    return (
        text("order_key", "The order, return or manifest: its key on `orders.events`; empty: none", primary_key=True),
        number("received_ms", "When the order's life began; chooses the month's partition", primary_key=True),
    )


def index_of_retention() -> Any:
    """For SQLite, which deletes what is old row by row; PostgreSQL drops the partition of a month."""
    return Index(None, "received_ms").ddl_if(dialect="sqlite")


def proof_columns() -> tuple[Column[int], Column[int]]:
    """Where the record of a row is."""
    return small("partition", "Partition of the record"), number("record_offset", "Offset of the record")


class Month(NamedTuple):
    """A month in UTC; `begin_ms` belongs to it, `end_ms` to the next."""

    year: int
    month: int

    @property
    def begin_ms(self) -> int:
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        return self.next.begin_ms

    @property
    def next(self) -> Month:
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def suffix(self) -> str:
        """Follows the table's name in that of its partition."""
        return f"{self.year:04d}_{self.month:02d}"


_FIRST_MS: Final = Month(FIRST_YEAR, 1).begin_ms
_LAST_MS: Final = Month(LAST_YEAR, 12).end_ms


def month_of(received_ms: int) -> Month | None:
    """The month whose partition has a row; None: the partition of all other times."""
    if not _FIRST_MS <= received_ms < _LAST_MS:
        return None
    at = datetime.fromtimestamp(received_ms / 1000, tz=UTC)
    return Month(at.year, at.month)
