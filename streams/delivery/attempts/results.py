"""Results of an attempt as values: what becomes of its request, and what is committed for it."""

from __future__ import annotations

from streams.runtime.role import Change, Effect
from topics.records.deliveries import OutcomeKind
from topics.values import Value


class Resolution(Value, frozen=True):
    """`next_ms`: when the request is tried again. `held`: it stays and blocks its lane. `supersedes`: of the requests
    behind it only the newest is still sent."""

    kind: OutcomeKind
    next_ms: int | None = None
    held: bool = False
    supersedes: bool = False

    @property
    def leaves(self) -> bool:
        """Whether the request leaves its lane."""
        return self.kind.final and not self.held


class Finished(Value, frozen=True):
    """Effects and changes to commit. `leaves`: the request leaves its lane. `supersedes`: of the requests behind it
    only the newest is still sent (streams/delivery/attempts/gaps.py)."""

    kind: OutcomeKind
    effects: tuple[Effect, ...]
    changes: tuple[Change, ...]
    leaves: bool
    supersedes: bool = False
