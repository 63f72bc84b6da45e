"""Counts what a sender did wrong, by the receiver's log alone. Pure.

Of one lane (an order at an endpoint), in the order of arrival:

- inversion: a lower sequence arrives after a higher one, or while a lower one is still being answered;
- gap: `previous` names a delivery that was never acknowledged, or skips one that was, and the delivery's watermark
  does not say so;
- lost: expected, and never acknowledged.

Of one endpoint: a request before the end of a Retry-After, and windows with more requests than the budget. Of one
delivery: another id, another body or another sequence on a repeat; a signature that is missing or wrong; a repeat after
it was acknowledged (allowed: once for each delivery in flight when the sender died).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sluice.dev.torture.answers import FOLLOWED
from sluice.dev.torture.log import LoggedRequest, Signed

ON_ITS_WAY_MS = 250.0
"""How long one side may not know what the other did: the way there and back, and busy event loops. A request that was
sent before the sender could have read a Retry-After is not early."""
EXAMPLES_MAX = 5
"""Examples shown of each fault."""

FAULTS = (
    "inversions",
    "gaps",
    "lost",
    "unexpected",
    "early",
    "over budget",
    "changed ids",
    "changed bodies",
    "unsigned",
    "wrongly signed",
    "followed redirects",
)
"""The counts that must be 0."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `requests` in any `window_s` seconds."""

    requests: int
    window_s: float


@dataclass(slots=True)
class Score:
    """Counts of a run, with a few examples of each fault."""

    requests: int = 0
    deliveries: int = 0
    acknowledged: int = 0
    lanes: int = 0
    repeats: int = 0
    """Arrivals of a delivery after it was acknowledged beyond doubt."""
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    """Faults of the receiver that the sender met, by name."""
    fullest: dict[str, int] = field(default_factory=dict)
    """Budget -> requests in its fullest window."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    unchecked: frozenset[str] = frozenset()
    """Those of FAULTS that could not be checked without a secret, an expectation or a budget."""

    @property
    def wrong(self) -> int:
        return sum(self.faults.values())

    def note(self, what: str, example: str) -> None:
        self.faults[what] += 1
        shown = self.examples.setdefault(what, [])
        if len(shown) < EXAMPLES_MAX:
            shown.append(example)


@dataclass(slots=True)
class _Delivery:
    id: str
    sequence: int | None
    body: str
    acknowledged: bool = False
    clear: bool = False


@dataclass(slots=True)
class _Lane:
    highest: int = 0
    done: int = 0
    """The highest sequence that was acknowledged."""
    open: dict[int, float] = field(default_factory=dict)
    """Sequence -> when its latest attempt was answered."""
    ids: dict[int, str] = field(default_factory=dict)


def score(
    entries: Iterable[LoggedRequest],
    *,
    expected: Mapping[str, Iterable[int]] | None = None,
    budgets: Iterable[Budget] = (),
    on_its_way_ms: float = ON_ITS_WAY_MS,
) -> Score:
    """Score a log. `expected`: lane -> the sequences that had to arrive; without it, nothing counts as lost."""
    arrived = sorted(entries, key=lambda entry: entry.number)
    found = Score(requests=len(arrived))
    deliveries: dict[str, _Delivery] = {}
    lanes: dict[str, _Lane] = {}
    for entry in arrived:
        _score_one(found, entry, deliveries, lanes, on_its_way_ms)
    by_endpoint: dict[str, list[LoggedRequest]] = {}
    for entry in arrived:
        by_endpoint.setdefault(entry.endpoint, []).append(entry)
    for here in by_endpoint.values():
        _score_quiet(found, here, on_its_way_ms)
        for budget in budgets:
            _score_budget(found, here, budget)
    found.deliveries, found.lanes = len(deliveries), len(lanes)
    found.acknowledged = sum(delivery.acknowledged for delivery in deliveries.values())
    if expected is not None:
        _score_expected(found, expected, lanes, deliveries)
    found.unchecked = frozenset(
        name
        for names, is_checked in (
            (("lost", "unexpected"), expected is not None),
            (("over budget",), bool(found.fullest)),
            (("unsigned", "wrongly signed"), any(entry.signed is not Signed.UNCHECKED for entry in arrived)),
        )
        for name in names
        if not is_checked
    )
    return found


def _score_one(
    found: Score, entry: LoggedRequest, deliveries: dict[str, _Delivery], lanes: dict[str, _Lane], on_its_way_ms: float
) -> None:
    if entry.fault:
        found.met[entry.fault] += 1
    if entry.endpoint == FOLLOWED:
        found.note("followed redirects", f"request {entry.number}")
        return
    if entry.fault == "reset-before":
        return  # its body never arrived: nothing can be checked
    if entry.signed is Signed.MISSING:
        found.note("unsigned", f"request {entry.number}, delivery {entry.id}")
    elif entry.signed is Signed.WRONG:
        found.note("wrongly signed", f"request {entry.number}, delivery {entry.id}")
    known = deliveries.get(entry.id)
    if known is None:
        known = deliveries[entry.id] = _Delivery(entry.id, entry.sequence, entry.body)
    elif known.clear:
        found.repeats += 1
    if known.body != entry.body:
        found.note("changed bodies", f"delivery {entry.id}, request {entry.number}")
    if entry.lane and entry.sequence is not None:
        _score_lane(found, entry, known, lanes.setdefault(entry.lane, _Lane()), on_its_way_ms)
    known.acknowledged = known.acknowledged or entry.acknowledged
    known.clear = known.clear or entry.clear


def _score_lane(found: Score, entry: LoggedRequest, known: _Delivery, lane: _Lane, on_its_way_ms: float) -> None:
    sequence = entry.sequence or 0
    where = f"{entry.lane}: {sequence}, request {entry.number}"
    if lane.ids.setdefault(sequence, entry.id) != entry.id or known.sequence != sequence:
        found.note("changed ids", f"{where}, delivery {entry.id}, before that {lane.ids[sequence]}/{known.sequence}")
    if entry.redriven:
        return  # an operator sent it after newer ones on purpose
    if sequence < lane.highest:
        found.note("inversions", f"{where} after {lane.highest}")
    elif any(other < sequence and until > entry.arrived_ms + on_its_way_ms for other, until in lane.open.items()):
        found.note("inversions", f"{where} while an earlier one was still being answered")
    if sequence > lane.highest:
        _score_previous(found, entry, lane, where)
        lane.open = {other: until for other, until in lane.open.items() if until > entry.arrived_ms}
    lane.highest = max(lane.highest, sequence)
    # After the status line the sender may go on, whatever happens to the rest of the answer.
    lane.open[sequence] = entry.arrived_ms if entry.acknowledged else entry.ended_ms
    if entry.acknowledged:
        lane.done = max(lane.done, sequence)


def _score_previous(found: Score, entry: LoggedRequest, lane: _Lane, where: str) -> None:
    """Check that a delivery that arrives for the first time continues the acknowledged ones."""
    if entry.previous is None or entry.previous == lane.done:
        return
    admitted = entry.watermark is not None and entry.watermark == lane.done
    if not admitted or entry.previous < lane.done:
        found.note("gaps", f"{where} says previous {entry.previous}, but {lane.done} was acknowledged last")


def _score_quiet(found: Score, here: list[LoggedRequest], on_its_way_ms: float) -> None:
    """Count requests before the end of a Retry-After; it is for the whole endpoint (CloudEvents HTTP WebHook 3.2)."""
    quiet = sorted((entry for entry in here if entry.not_before_ms), key=lambda entry: entry.ended_ms)
    read, until_ms, since_ms = 0, 0.0, 0.0
    for entry in here:
        while read < len(quiet) and quiet[read].ended_ms + on_its_way_ms <= entry.arrived_ms:
            if quiet[read].not_before_ms > until_ms:
                until_ms, since_ms = quiet[read].not_before_ms, quiet[read].ended_ms
            read += 1
        if entry.arrived_ms < until_ms:
            found.note(
                "early",
                f"request {entry.number} {until_ms - entry.arrived_ms:.0f} ms before the end of a Retry-After that was "
                f"given {entry.arrived_ms - since_ms:.0f} ms before it",
            )


def _score_budget(found: Score, here: list[LoggedRequest], budget: Budget) -> None:
    window: deque[float] = deque()
    name = f"{budget.requests}/{budget.window_s:g}s"
    for entry in here:
        window.append(entry.arrived_ms)
        while window[0] <= entry.arrived_ms - budget.window_s * 1000:
            window.popleft()
        found.fullest[name] = max(found.fullest.get(name, 0), len(window))
        if len(window) > budget.requests:
            found.note("over budget", f"request {entry.number} is number {len(window)} within {budget.window_s:g} s")


def _score_expected(
    found: Score, expected: Mapping[str, Iterable[int]], lanes: dict[str, _Lane], deliveries: dict[str, _Delivery]
) -> None:
    for name, sequences in expected.items():
        lane = lanes.get(name, _Lane())
        wanted = set(sequences)
        for sequence in sorted(wanted):
            delivery = deliveries.get(lane.ids.get(sequence, ""))
            if delivery is None or not delivery.acknowledged:
                found.note("lost", f"{name}: {sequence}")
        for sequence in sorted(set(lane.ids) - wanted):
            found.note("unexpected", f"{name}: {sequence}")
    for name in lanes.keys() - expected.keys():
        found.note("unexpected", name)
