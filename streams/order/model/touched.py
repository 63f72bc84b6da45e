"""Notes of what a decision changed in the parts of an entity: only that is written (streams/order/storage).

Whatever else an entity has is compared or always written. The lists are long, so a change of an entry in place must be
noted here, by the methods of the entities. Tests decode what was written and compare it (`changes_make_the_state`), so
a change that is not noted fails them.
"""

from __future__ import annotations


class Touched:
    """Entries that changed, came or went."""

    __slots__ = ("anew", "calls_forgotten", "deliveries", "gone", "lines", "sections", "seen", "shipments")

    def __init__(self) -> None:
        self.anew = False
        """A list changed as no change can say: lines went or have other places, or two requests have one id."""
        self.lines: set[int] = set()
        """Places of lines; those that were appended need no note."""
        self.shipments: set[int] = set()
        """Ids of shipments."""
        self.deliveries: set[str] = set()
        """Ids of requests."""
        self.gone: set[str | int] = set()
        """Ids of requests and shipments that went."""
        self.seen = 0
        """Events that were appended to those seen."""
        self.calls_forgotten = False
        """Events seen changed in place."""
        self.sections: set[int] = set()
        """Numbers of sections whose encoded form is another one."""

    def add(self, later: Touched) -> None:
        """Adds what was touched after this."""
        self.anew |= later.anew
        self.lines |= later.lines
        self.shipments |= later.shipments
        self.deliveries |= later.deliveries
        self.gone |= later.gone
        self.seen += later.seen
        self.calls_forgotten |= later.calls_forgotten
        self.sections |= later.sections
