"""PURE: the choice of the refused requests that a resubmission asks about, from the records of deliveries.dead.

A request may be redriven and refused again: its last record counts. A later record says that another request has taken
its place, or that an operator skipped it. Where only the last word of an order counts, only its last request is chosen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gateway.api.dead_letters import CHOSEN_MAX, GROUPS_MAX, DeadLetter, LetterChoice, is_reason
from gateway.ports import LogRecord
from topics.api.resubmissions import RefusedGroup, RefusedOfMany
from topics.contract.definition import Mode, Repeat
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest

LAST_WORD = (Repeat.CONFLICT_IF_CHANGED, Repeat.LAST_VALUE)
"""Rules of touchpoints of which an order's last request takes the place of those before."""
REFUSAL_CHARS_MAX = 80
CODES_MAX = 5
"""Codes that a group names: enough to look at some with `sluice order`; a line of a terminal has room for them."""


@dataclass(frozen=True, slots=True)
class RefusedPlace:
    """The place of a letter, and how it is counted."""

    partition: int
    offset: int
    touchpoint: str
    refusal: str
    code: str


class RefusedChoice(LetterChoice):
    """The choice among the letters of refused requests."""

    def __init__(self, asked: RefusedOfMany) -> None:
        super().__init__(asked.orders, asked.since, asked.until)
        self._asked = asked
        self._last: dict[tuple[str, str], str] = {}
        """Entity and touchpoint -> its last request, where only that one counts."""
        self.chosen: dict[str, RefusedPlace] = {}

    def _on_letter(self, partition: int, record: LogRecord, letter: DeadLetter) -> None:
        request = letter.request
        self._forget(request.id)
        if not is_resubmittable(letter) or not self._fits(letter, record.time_ms):
            return
        if BY_NAME[request.touchpoint].repeat in LAST_WORD:
            former = self._last.get((request.entity, request.touchpoint))
            self._last[request.entity, request.touchpoint] = request.id
            if former is not None:
                self._forget(former)
        if len(self.chosen) >= CHOSEN_MAX:
            self.more = True
            return
        self.chosen[request.id] = RefusedPlace(
            partition, record.offset, request.touchpoint, refusal_of(letter), request.subject
        )

    def _forget(self, request: str) -> None:
        self.chosen.pop(request, None)

    def _fits(self, letter: DeadLetter, time_ms: int) -> bool:
        asked, request = self._asked, letter.request
        return (
            self._is_meant(letter, time_ms)
            and asked.channel == request.channel
            and asked.touchpoint in {None, request.touchpoint}
            and (asked.refusal is None or is_reason(asked.refusal, letter))
        )

    def groups(self) -> list[RefusedGroup]:
        """The numbers of chosen requests by call and refusal, the largest first, each with some of its codes."""
        counts: Counter[tuple[str, str]] = Counter()
        codes: dict[tuple[str, str], dict[str, None]] = {}
        for one in self.chosen.values():
            group = (one.touchpoint, one.refusal)
            counts[group] += 1
            some = codes.setdefault(group, {})
            if len(some) < CODES_MAX:
                some[one.code] = None
        return [
            RefusedGroup(touchpoint=group[0], refusal=group[1], count=count, codes=list(codes[group]))
            for group, count in counts.most_common(GROUPS_MAX)
        ]


def is_resubmittable(letter: DeadLetter) -> bool:
    """Whether the orders role is worth asking: a request that no caller waits for, and that the far side answered."""
    request: DeliveryRequest = letter.request
    touchpoint = BY_NAME.get(request.touchpoint)
    if touchpoint is None or touchpoint.mode is not Mode.ACCEPT or letter.status is None:
        return False
    return letter.refused or not touchpoint.refusable


def refusal_of(letter: DeadLetter) -> str:
    """The far side's words, short enough to count by."""
    return (letter.message or letter.reason)[:REFUSAL_CHARS_MAX]
