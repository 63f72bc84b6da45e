"""PURE: full snapshots of one location amid its updates: (state, one record) -> state, and what happened.

A snapshot stands at the offset of its begin marker. So a part changes no SKU that an update behind that marker named,
even with the same quantity; and a SKU that a complete snapshot does not name becomes 0 unless an update behind the
marker named it. Notes keep durably which SKUs those are: one note for each record that named some not noted yet.

Every record with an effect here puts the value of `Kept` last. When that is durable, all that the record put before is
durable, too (the changelog keeps the order of puts), so a redelivery is recognised by that key alone. Notes are deleted
from the first one on, and only of a snapshot that is over. So a snapshot that seems to go on without its first note was
over before a crash took the state back; nothing that it names may be put again then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.inventory.snapshots.zero_sweep import SnapshotPositions, ZeroSweep, encode_note, is_touched, skus_of
from streams.runtime.invariants import violated
from streams.runtime.role import Table
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.records.word import CLOCKS_APART_MS
from topics.stock.snapshots import (
    ABANDONED,
    APPLIED,
    ENDING,
    OPEN,
    SNAPSHOT_OPEN_MAX_S,
    Ended,
    Kept,
    Run,
    Swept,
    decode_kept,
    note_key,
)

ENDED_KEPT = 10
"""Ended snapshots that are kept of a location: these are shown, and a record that repeats one is recognised."""
ENDING_MAX = 4
"""Snapshots of one location that have come and still set SKUs to 0. Each takes seconds, and one more note for each
update meanwhile."""
SWEPT_AT_ONCE = 1_000
"""Notes deleted in one step: some milliseconds."""

POSITIONS = "inventory.positions"
UNKNOWN = "unknown"
OVER = "over"
REPEATED = "repeated"


class NoteTable:
    """The notes of one location in the table."""

    def __init__(self, table: Table, channel: str, location: str) -> None:
        self._table = table
        self._of = (channel, location)

    def get(self, begin: int, number: int) -> bytes | None:
        return self._table.get(note_key(*self._of, begin, number))

    def named(self, begin: int, number: int) -> list[str] | None:
        note = self.get(begin, number)
        try:
            return None if note is None else skus_of(note)
        except UnreadableError as error:
            UNREADABLE.note(POSITIONS, note_key(*self._of, begin, number), error)
            return None

    def add(self, run: Run, skus: list[str], *, touched: bool) -> None:
        self._table.put(note_key(*self._of, run.begin, run.notes), encode_note(skus, touched=touched))
        run.notes += 1

    def end(self, begin: int) -> int:
        """The number behind the last note there is."""
        prefix = note_key(*self._of, begin, 0)[:-1]
        numbers = (key[len(prefix) :] for key, _ in self._table.walk(prefix))
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=-1)

    def delete(self, begin: int, number: int) -> None:
        self._table.delete(note_key(*self._of, begin, number))


@dataclass(slots=True)
class Memory:
    """The state of a location's snapshots, and what is made from the notes. `raw` is the value in the table that the
    memory belongs to; when the table has another one, the memory is void."""

    raw: bytes = b""
    kept: Kept = field(default_factory=Kept)
    touched: set[str] = field(default_factory=set)
    """SKUs that an update named since the open snapshot began."""
    lost: set[int] = field(default_factory=set)
    """Begins of snapshots that were over before a crash took the state back."""
    zero_sweeps: dict[int, ZeroSweep] = field(default_factory=dict)
    """By the begin of the snapshot."""

    def check(self) -> None:
        """Holds whenever the state is written, and so when it is read."""
        runs = self.kept.runs
        if any(run.state == OPEN for run in runs[:-1]) or len({run.begin for run in runs}) < len(runs):
            violated("snapshots_open", f"only the last of these may be open, and each has a begin of its own: {runs}")


def recall(raw: bytes | None, notes: NoteTable) -> Memory:
    """Makes the memory of a location from its table alone. Raises UnreadableError.

    A snapshot with a note that cannot be read counts as lost: nothing that it names is put any more, and no SKU is set
    to 0 because of it."""
    if raw is None:
        return Memory()
    memory = Memory(raw, decode_kept(raw))
    memory.check()
    for run in memory.kept.runs:
        if run.notes and notes.get(run.begin, 0) is None:
            memory.lost.add(run.begin)
        elif run.state == OPEN:
            for number in range(run.notes):
                note = notes.get(run.begin, number)
                if note is not None and is_touched(note):
                    named = notes.named(run.begin, number)
                    if named is None:
                        memory.lost.add(run.begin)
                        break
                    memory.touched.update(named)
    return memory


class Snapshots:
    """Applies one record to the snapshots of its location. The outcome is in `ended`, `ignored` and `step`."""

    def __init__(
        self, memory: Memory, notes: NoteTable, positions: SnapshotPositions, offset: int, now_ms: int, said_ms: int
    ) -> None:
        """`said_ms`: from when the word of the record is."""
        self._said_ms = said_ms
        self.memory = memory
        self._kept = memory.kept
        self._notes = notes
        self._positions = positions
        self._offset = offset
        self._now_ms = now_ms
        self.ended: list[Ended] = []
        self.ignored: str | None = None
        """Why the record has no effect."""
        self._is_repeated_update = False
        self.step: int | None = None
        """The number of the step to request."""

    @property
    def is_changed(self) -> bool:
        """Whether there is a new state to put."""
        return bool(self.ended) or (self.ignored is None and not self._is_repeated_update)

    def begin(self, name: str, *, complete: bool) -> None:
        kept = self._kept
        if self._is_known(name):
            self.ignored = REPEATED
            return
        self._expire()
        if (running := self._open()) is not None:
            self._end(running, ABANDONED, "replaced")
        run = Run(name, self._offset, self._said_ms, self._now_ms, complete)
        kept.runs.append(run)
        self.memory.touched = set()
        if self._now_ms - self._said_ms > CLOCKS_APART_MS:
            self._end(run, ABANDONED, "late")  # newer updates may have been taken before it
        elif len(kept.runs) > ENDING_MAX:
            self._end(run, ABANDONED, "too-many")

    def part(
        self,
        name: str,
        number: int,
        items: Mapping[str, Any],
        refused: Iterable[str] = (),
        *,
        has_unnamed: bool = False,
    ) -> None:
        """`items` by SKU. `refused`: SKUs that the part names without a usable value, which stay as they are.
        `has_unnamed`: an item has no SKU; it may be about any, so the snapshot sets none to 0."""
        run = self._found(name)
        if run is None:
            return
        if number < run.parts:
            self.ignored = REPEATED
            return
        run.complete &= not has_unnamed
        run.gap |= number > run.parts
        run.parts = number + 1
        run.last_ms = self._now_ms
        named = list(dict.fromkeys((*items, *refused)))
        run.received += len(named)
        if run.begin in self.memory.lost:
            run.unchanged += len(items)
            return
        touched = self.memory.touched
        wanted = [item for sku, item in items.items() if sku not in touched] if touched else list(items.values())
        changed = self._positions.apply(wanted, run.begun_ms)
        run.changed += changed
        run.unchanged += len(wanted) - changed
        run.overtaken += len(items) - len(wanted)
        if run.complete:
            self._notes.add(run, named, touched=False)
        self._touch(list(items), besides=run)

    def end(self, name: str, parts: int, *, complete: bool) -> None:
        run = self._found(name)
        if run is None:
            return
        run.complete &= complete
        if run.gap or parts != run.parts:
            self._end(run, ABANDONED, "parts-missing")
        elif run.complete and not run.received:
            self._end(run, ABANDONED, "empty")
        elif run.complete:
            run.state = ENDING
            run.last_ms = self._now_ms
            self.memory.touched = set()
        else:
            self._end(run, APPLIED)

    def abort(self, name: str) -> None:
        run = self._found(name)
        if run is not None:
            self._end(run, ABANDONED, "aborted")

    def updated(self, skus: list[str]) -> None:
        """An update named these SKUs, changed or not. SKUs that an update named before cost nothing more."""
        self._expire()
        self._is_repeated_update = not self._touch(skus)

    def work(self, step: int) -> None:
        """Does the next bounded piece of what is left to do. Each step is made once, however often it is requested."""
        kept = self._kept
        if kept.asked_ms is None or step != kept.step:
            self.ignored = REPEATED
            return
        kept.asked_ms = None
        ending = next((run for run in kept.runs if run.state == ENDING), None)
        if ending is not None:
            self._zero(ending)
        elif kept.sweeps:
            self._sweep()

    def settle(self) -> bytes:
        """Returns the state to put, last of all. Requests a step when one is due and none is in flight."""
        kept, now_ms = self._kept, self._now_ms
        due = bool(kept.sweeps) or any(run.state == ENDING for run in kept.runs)
        # A step that is not made for so long was lost with the log that it waited in.
        if due and (kept.asked_ms is None or now_ms - kept.asked_ms > SNAPSHOT_OPEN_MAX_S * 1_000):
            kept.step += 1
            kept.asked_ms = now_ms
            self.step = kept.step
        self.memory.check()
        self.memory.raw = kept.encode()
        return self.memory.raw

    def _open(self) -> Run | None:
        runs = self._kept.runs
        return runs[-1] if runs and runs[-1].state == OPEN else None

    def _found(self, name: str) -> Run | None:
        """The open snapshot of this id; else None, and `ignored` says why."""
        self._expire()
        run = self._open()
        if run is not None and run.id == name:
            return run
        self.ignored = OVER if self._is_known(name) else UNKNOWN
        return None

    def _is_known(self, name: str) -> bool:
        kept = self._kept
        return any(run.id == name for run in kept.runs) or any(ended.id == name for ended in kept.ended)

    def _expire(self) -> None:
        run = self._open()
        if run is not None and self._now_ms - run.last_ms > SNAPSHOT_OPEN_MAX_S * 1_000:
            self._end(run, ABANDONED, "silent")

    def _touch(self, skus: list[str], besides: Run | None = None) -> bool:
        """A newer record named these SKUs. Returns whether that took a note: a snapshot may be open for long, so it has
        at most one note for each SKU."""
        memory = self.memory
        noted = False
        for run in self._kept.runs:
            if run is besides or run.begin in memory.lost:
                continue
            if besides is None and run.begun_ms - self._said_ms > CLOCKS_APART_MS:
                continue  # an update that came late: what the snapshot says is newer
            new = [sku for sku in skus if sku not in memory.touched] if run.state == OPEN else skus
            if not new:
                continue
            self._notes.add(run, new, touched=True)
            noted = True
            if run.state == OPEN:
                memory.touched.update(new)
            elif run.begin in memory.zero_sweeps:
                memory.zero_sweeps[run.begin].spare(new)
        return noted

    def _zero(self, run: Run) -> None:
        memory = self.memory
        done = run.begin in memory.lost
        if not done:
            sweep = memory.zero_sweeps.get(run.begin)
            if sweep is None:
                sweep = memory.zero_sweeps[run.begin] = ZeroSweep(self._positions.skus())
            done = sweep.step(run, self._notes, self._positions)
        if done:
            self._end(run, APPLIED)

    def _end(self, run: Run, state: str, reason: str = "") -> None:
        kept, memory = self._kept, self.memory
        kept.runs.remove(run)
        if run.state == OPEN:
            memory.touched = set()
        if run.begin in memory.lost:
            memory.lost.discard(run.begin)
            # There may be more notes than the state that was taken back knows of.
            run.notes = self._notes.end(run.begin)
        memory.zero_sweeps.pop(run.begin, None)
        if run.notes:
            kept.sweeps.append(Swept(run.begin, 0, run.notes))
        ended = Ended(run.id, state, reason, run.complete, run.begun_ms, self._now_ms, **run.counts())
        kept.ended.append(ended)
        del kept.ended[:-ENDED_KEPT]
        self.ended.append(ended)

    def _sweep(self) -> None:
        left = SWEPT_AT_ONCE
        sweeps = self._kept.sweeps
        while sweeps and left:
            swept = sweeps[0]
            until = min(swept.done + left, swept.notes)
            for number in range(swept.done, until):
                self._notes.delete(swept.begin, number)
            left -= until - swept.done
            swept.done = until
            if swept.done == swept.notes:
                del sweeps[0]
