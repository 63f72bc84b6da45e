"""Offsets of the source topic that may be committed: none past the first unfinished chunk of a partition."""

from __future__ import annotations

from collections import OrderedDict

from streams.runtime.invariants import violated


class OffsetLedger:
    """The chunks handed out of each partition, in order, and whether they are finished. References are strong.

    Faust keeps unfinished messages in a WeakSet: one whose handler raised is collected, and offsets past it committed.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, OrderedDict[int, bool]] = {}
        self._next: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    def clear(self) -> None:
        """Forgets all partitions, which are given back: chunks that are not committed are read again."""
        self._chunks.clear()
        self._next.clear()
        self._committed.clear()

    def handed_out(self, partition: int, last_offset: int) -> None:
        chunks = self._chunks.setdefault(partition, OrderedDict())
        before = next(reversed(chunks), self._next.get(partition, 0) - 1)
        if last_offset <= before:
            violated("offsets_grow", f"partition {partition}: {last_offset} was handed out after {before}")
        chunks[last_offset] = False

    def split(self, partition: int, last_decided: int) -> None:
        """Makes a chunk of its own of what was handed out up to the last record that is decided."""
        chunks = self._chunks.get(partition)
        if chunks is None or last_decided in chunks:
            return
        later = [(last, done) for last, done in chunks.items() if last > last_decided]
        for last, _ in later:
            del chunks[last]
        chunks[last_decided] = False
        chunks.update(later)

    def cut(self, partition: int, offset: int, last_decided: int | None) -> None:
        """Takes back what was handed out from `offset` on: it waits, and will be handed out again.

        `last_decided` is the last record of the same chunk that was decided; None: `offset` is its first.
        """
        chunks = self._chunks.setdefault(partition, OrderedDict())
        for last in [last for last in chunks if last >= offset]:
            del chunks[last]
        if last_decided is not None:
            chunks[last_decided] = False

    def is_idle(self, partition: int) -> bool:
        """Whether all that was handed out of a partition is finished."""
        return not self._chunks.get(partition)

    def finished(self, partition: int, last_offset: int) -> None:
        """Marks a chunk whose effects and state are durable. Chunks of partitions given back meanwhile are ignored."""
        chunks = self._chunks.get(partition)
        if chunks is None or last_offset not in chunks:
            return
        if chunks[last_offset]:
            violated("offsets_finish_once", f"partition {partition}: {last_offset} was finished before")
        chunks[last_offset] = True
        while chunks:
            last, done = next(iter(chunks.items()))
            if not done:
                return
            del chunks[last]
            self._next[partition] = last + 1

    def committable(self) -> dict[int, int]:
        """The offset to commit (that of the next record to read) of each partition where it has grown."""
        return {
            partition: offset for partition, offset in self._next.items() if offset > self._committed.get(partition, -1)
        }

    def committed(self, offsets: dict[int, int]) -> None:
        self._committed.update(offsets)

    def next_offset(self, partition: int) -> int | None:
        """The offset after the last finished chunk; None before the first one of this assignment."""
        return self._next.get(partition)

    def unfinished(self) -> int:
        return sum(not done for chunks in self._chunks.values() for done in chunks.values())
