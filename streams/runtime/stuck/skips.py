"""Records that an operator has skipped: a role reads them before it decides, and sets such a record aside.

A skip is a record of a compacted topic, so it holds for a role that stands still, that ends at the record again and
again, and that runs. It changes only what was not decided yet: `sluice skip` refuses a record that was.
"""

from __future__ import annotations

from collections.abc import Callable

from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.records.skips import SKIPS, decode_skip, place_of


class Skips(KeptByViews):
    """The records of one source topic that are to be skipped."""

    def __init__(self, settings: Settings, source: str, on_skip: Callable[[int, int], None]) -> None:
        """`source` is a catalogue name. `on_skip(partition, offset)` is called with each new one."""
        self._source = source
        self._on_skip = on_skip
        self.reasons: dict[tuple[int, int], str] = {}
        """By partition and offset; few, because the topic forgets them."""
        self._views = (WholeView(settings, SKIPS, self.apply, one_owner=False),)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Raises ValueError for what is no skip: the view notes it, and goes on."""
        topic, partition, offset = place_of(key)
        if topic != self._source:
            return
        if value is None:
            self.reasons.pop((partition, offset), None)
            return
        skip = decode_skip(value)
        self.reasons[partition, offset] = f"skipped by {skip.by}: {skip.reason}"
        self._on_skip(partition, offset)
