"""Notes of what a decision changes of an entity's lists: only that is written (streams/order/storage).

Whatever else an entity has is compared as a whole when it is written. The lists are long, so a change of an entry in
place must be noted here, by the methods of the entities. Tests decode what was written and compare it
(`changes_make_the_state`), so a change that is not noted fails them.
"""

from __future__ import annotations


class Touched:
    """Entries that changed, came or went since the entity was last written."""

    __slots__ = ("calls_forgotten", "deliveries", "gone", "lines", "lines_anew", "seen", "shipments")

    def __init__(self) -> None:
        self.lines: set[int] = set()
        """Places of lines; those that were appended need no mark."""
        self.lines_anew = False
        """Lines went, or have other places."""
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
