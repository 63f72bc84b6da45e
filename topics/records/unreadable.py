"""Records that this process cannot read: counted by topic, logged now and then, and named by /ready as warnings.

A record that cannot be read ends nothing. Its reader says what then holds for its key (docs/unreadable.md has them
all); here is only how operators learn of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import ValidationError

from topics.metrics import made
from topics.schema_base import problems

log = logging.getLogger(__name__)

METRIC = "sluice_unreadable_records_total"
LOG_EVERY_S = 60.0
LINES_MAX = 10
"""Lines of a topic in that time. It may hold a million such records: the first ones are named, later lines say how many
came in between."""
KEYS_MAX = 1_000
"""Keys of a topic that are remembered as unreadable. Beyond it a key's next readable record ends no warning."""
KEY_BYTES_MAX = 4_096
"""Bytes of a key that are remembered: no role writes longer ones, and others' may have megabytes. A longer key's next
readable record ends no warning either."""
NOT_OURS = "it counts nowhere, because no role of Sluice wrote it: it has no header sluice-made-by of theirs"
REASON_CHARS_MAX = 300
KEY_CHARS_MAX = 200


class UnreadableError(ValueError):
    """A stored value cannot be read. The message says why, and quotes nothing of the value."""


@dataclass(slots=True)
class _OfTopic:
    """`where`: the unreadable keys, each with where its record is; the last one found is last. `lines`: logged since
    `since_s`."""

    counted: int = 0
    where: dict[bytes, str] = field(default_factory=dict)
    since_s: float = float("-inf")
    lines: int = 0
    unlogged: int = 0


class UnreadableRecords(Collector):
    """Those of one process, by the name of their topic in the catalogue."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: dict[str, _OfTopic] = {}

    def note(
        self,
        topic: str,
        key: bytes | None,
        why: Exception | str,
        *,
        partition: int | None = None,
        offset: int | None = None,
    ) -> None:
        """A record cannot be read. One that is met again and again, as a value of a table is, counts once: it has no
        `offset`."""
        of = self._topics.setdefault(topic, _OfTopic())
        name = b"" if key is None else key[:KEY_BYTES_MAX]
        is_known = name in of.where
        where = " ".join(
            f"{word} {number}" for word, number in (("partition", partition), ("offset", offset)) if number is not None
        )
        if is_known or len(of.where) < KEYS_MAX:
            of.where.pop(name, None)
            of.where[name] = where
        if is_known and offset is None:
            return
        of.counted += 1
        now_s = self._clock()
        if now_s - of.since_s >= LOG_EVERY_S:
            of.since_s, of.lines = now_s, 0
        if of.lines >= LINES_MAX:
            of.unlogged += 1
            return
        more = f" ({of.unlogged} more since the last line)" if of.unlogged else ""
        of.lines, of.unlogged = of.lines + 1, 0
        shown = name.decode(errors="backslashreplace")[:KEY_CHARS_MAX]
        log.warning("unreadable record: topic=%s %s key=%s: %s%s", topic, where, shown, reason_of(why), more)

    def is_noted(self, topic: str, key: bytes) -> bool:
        """Whether the last known record of a key cannot be read."""
        of = self._topics.get(topic)
        return of is not None and key in of.where

    def read_again(self, topic: str, key: bytes) -> None:
        """A record of this key that can be read, or its deletion, took the place of one that could not."""
        of = self._topics.get(topic)
        if of is not None:
            of.where.pop(key, None)

    def counted(self, topic: str) -> int:
        of = self._topics.get(topic)
        return 0 if of is None else of.counted

    def warnings(self) -> list[str]:
        """One for each topic with unreadable records. /ready shows them to anybody, so no key is in them."""
        return [
            f"{topic}: {len(of.where)} records cannot be read, the last found in {next(reversed(of.where.values()))};"
            " the log says why"
            for topic, of in sorted(self._topics.items())
            if of.where
        ]

    def clear(self) -> None:
        """Forgets everything; for tests."""
        self._topics.clear()

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for topic, of in sorted(self._topics.items()):
            family.add_metric([topic], of.counted)
        yield family

    @staticmethod
    def _family() -> CounterMetricFamily:
        return made.counter_family(METRIC)


UNREADABLE = UnreadableRecords()
"""Those of this process: readers are in all rooms, and pure code notes here without being handed anything."""


def reason_of(why: Exception | str) -> str:
    """The reason in one line, without the value: it may be personal or secret."""
    if isinstance(why, str):
        return why[:REASON_CHARS_MAX]
    text = "; ".join(problems(why)) if isinstance(why, ValidationError) else str(why)
    return f"{type(why).__name__}: {text}".splitlines()[0][:REASON_CHARS_MAX]
