"""Which scenarios the whole check walks: at most 3 lines, 2 shipments, and 8 events (calls and disturbances)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.exhaustive.scenario import Scenario

CALLS = (
    "hold",
    "release",
    "cancel:1=1",
    "cancel:1=2",
    "seller:1=1",
    "ack",
    "pack:1",
    "pack:2",
    "label:1",
    "invoice:1",
    "handover:1",
    "delivered",
)
NEEDS = {
    "release": "hold",
    "label:1": "pack:1",
    "invoice:1": "pack:1",
    "handover:1": "pack:1",
    "delivered": "handover:1",
    "pack:2": "pack:1",
    "cancel:1=2": "cancel:1=1",
}
"""Without its forerunner a call is never made, or the scenario is another one under other numbers."""
CONTENDERS = ("cancel:1=1", "cancel:1=2", "seller:1=1", "pack:1", "pack:2")
"""What may want the same units."""
DISTURBANCES = {
    "create": ("again", "repeat", "lost", "refuse", "dead"),
    "hold": ("again", "repeat", "lost", "refuse", "dead"),
    "cancel:1=1": ("again", "repeat", "mute", "lost", "refuse", "dead"),
    "seller:1=1": ("again", "repeat", "mute", "lost", "refuse", "dead"),
    "ack": ("again", "repeat", "lost", "refuse"),
    "pack:1": ("again", "repeat", "mute", "lost", "refuse", "dead"),
    "label:1": ("again", "repeat", "mute", "lost", "refuse"),
    "handover:1": ("again", "repeat", "mute", "lost", "refuse", "dead"),
}
OF_CALL = frozenset({"again", "repeat", "mute"})
THREE_LINES = (2, 1, 1)
THREE_LINE_SHIPMENTS = {1: {1: 1, 2: 1}, 2: {1: 1, 3: 1}}

LONG: tuple[tuple[str, ...], ...] = (
    ("create", "hold", "release", "ack", "pack:1", "label:1", "handover:1", "delivered"),
    ("create", "cancel:1=1", "cancel:1=2", "seller:1=1", "pack:1", "label:1", "invoice:1", "handover:1"),
    ("create", "cancel:1=1", "seller:1=1", "pack:1", "pack:2", "handover:1", "handover:2"),
    ("create", "hold", "release", "cancel:1=1", "seller:1=1", "pack:1", "handover:1"),
    ("create", "cancel:1=1", "pack:1", "label:1", "invoice:1", "handover:1", "delivered"),
)
WIDE: tuple[tuple[str, ...], ...] = (
    ("create", "cancel:1=1,2=1", "seller:1=1,3=1", "pack:1", "pack:2", "handover:1"),
    ("create", "cancel:2=1", "cancel:3=1", "pack:1", "pack:2", "seller:1=1"),
    ("create", "cancel:1=2,2=1,3=1", "pack:1", "seller:1=1,2=1", "handover:1", "hold"),
)


def bases(calls: int) -> Iterator[tuple[str, ...]]:
    """Every choice of so many calls, the Create among them, that makes sense together."""
    for chosen in combinations(CALLS, calls - 1):
        if all(NEEDS.get(call, call) in chosen for call in chosen):
            yield ("create", *chosen)


def disturbances(calls: tuple[str, ...]) -> Iterator[str]:
    """What may disturb these calls."""
    found = ["late"] if any(call.startswith(("pack", "cancel", "label")) for call in calls) else []
    for call in calls:
        for kind in DISTURBANCES.get(call, ()):
            scenario = Scenario((call,))
            about = call if kind in OF_CALL else scenario.parsed()[0].touchpoint
            found.append(f"{kind}:{about}")
    yield from dict.fromkeys(found)


def contended(calls: tuple[str, ...]) -> bool:
    """Whether at least two of the calls want units."""
    return sum(call in CONTENDERS for call in calls) >= 2


def small() -> Iterator[Scenario]:
    """Every choice of up to five calls, undisturbed; with early calls too."""
    for calls in range(2, 6):
        for base in bases(calls):
            for cut_off in (True, False):
                yield Scenario(base, cut_off=cut_off)
            if calls < 5:
                yield Scenario(base, cut_off=False, eager=True)


def disturbed() -> Iterator[Scenario]:
    """Every choice of up to four calls with each disturbance; of three calls, with each two of them."""
    for calls in range(2, 5):
        for base in bases(calls):
            for one in disturbances(base):
                for cut_off in (True, False):
                    yield Scenario(base, (one,), cut_off=cut_off)
    for base in bases(3):
        for two in combinations(disturbances(base), 2):
            yield Scenario(base, two, cut_off=False)


def contending() -> Iterator[Scenario]:
    """Six calls, of which some want the same units."""
    for base in bases(6):
        if contended(base):
            yield Scenario(base, cut_off=False)


THREE_UNITS = (3,)
SINGLE: tuple[tuple[str, ...], ...] = (
    ("create", "pack:1", "rest", "handover:1"),
    ("create", "cancel:1=1", "pack:1", "rest", "handover:1"),
    ("create", "cancel:1=1", "seller:1=1", "pack:1", "pack:2", "rest"),
)
SPLIT: tuple[tuple[str, ...], ...] = (
    ("create", "pack:1", "pack:2", "handover:1", "handover:2"),
    ("create", "cancel:1=1", "seller:1=1", "pack:1", "pack:2", "handover:1"),
)


def partial() -> Iterator[Scenario]:
    """Orders that ship once, with what is left cancelled, and orders that are split over locations."""
    for cut_off in (True, False):
        for calls in SINGLE:
            yield Scenario(calls, cut_off=cut_off, lines=THREE_UNITS, single=True)
            for one in ("mute:pack:1", "late", "refuse:pack-order", "again:pack:1", "dead:seller-cancellation"):
                if len(calls) < 6:
                    yield Scenario(calls, (one,), cut_off=cut_off, lines=THREE_UNITS, single=True)
        for calls in SPLIT:
            yield Scenario(calls, cut_off=cut_off, split=True)
            yield Scenario(calls, cut_off=cut_off, lines=THREE_UNITS, split=True)


def long() -> Iterator[Scenario]:
    """Up to eight events, and three lines in two shipments."""
    for calls in LONG:
        yield Scenario(calls, cut_off=False)
    for calls in WIDE:
        for cut_off in (True, False):
            yield Scenario(calls, lines=THREE_LINES, shipments=THREE_LINE_SHIPMENTS, cut_off=cut_off)
        yield Scenario(calls, ("late",), lines=THREE_LINES, shipments=THREE_LINE_SHIPMENTS, cut_off=False)


FAMILIES = {"small": small, "disturbed": disturbed, "contending": contending, "partial": partial, "long": long}
