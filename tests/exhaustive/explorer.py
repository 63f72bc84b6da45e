"""Every history of a scenario, depth first; worlds that meet again are walked once and counted each time.

Two histories that lead to the same world have the same future, and what is checked in it depends on the world alone.
So each world is entered once, and its number of histories is added up over all ways to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from tests.exhaustive.checks import ending
from tests.exhaustive.deciding import Decider
from tests.exhaustive.scenario import Scenario
from tests.exhaustive.world import Step, World, begin

FINDINGS_MAX = 5
"""Kept per scenario: the first few histories show what is wrong."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be, and the history that leads to it."""

    what: str
    scenario: str
    history: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what}\n  scenario: {self.scenario}\n  history: {' | '.join(self.history)}"


@dataclass
class Explored:
    """`outcomes`: histories by outcome; of those that used all disturbances, as the others belong to smaller scenarios.

    `worlds` were entered, `steps` taken, `decisions` made by the machine.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    worlds: int = 0
    steps: int = 0
    decisions: int = 0
    longest: int = 0

    @property
    def histories(self) -> int:
        return sum(self.outcomes.values())

    def add(self, other: Explored) -> None:
        self.outcomes.update(other.outcomes)
        self.findings += other.findings
        self.worlds += other.worlds
        self.steps += other.steps
        self.decisions += other.decisions
        self.longest = max(self.longest, other.longest)


class Explorer:
    """Walks one scenario. `merged` False: every history is walked by itself, over states as they are."""

    def __init__(self, scenario: Scenario, *, merged: bool = True) -> None:
        self._scenario = scenario
        self._merged = merged
        self._decider = Decider(normal=merged)
        self._known: dict[bytes, dict[str, int]] = {}
        self._path: list[str] = []
        self._found = Explored()

    def run(self) -> Explored:
        world = begin(self._scenario, self._decider)
        self._found.outcomes = Counter(self._walk(world))
        self._found.decisions = self._decider.count + (0 if self._merged else self._decider.remembered)
        return self._found

    def _walk(self, world: World) -> dict[str, int]:
        key = blake2b(world.key(), digest_size=16).digest() if self._merged else b""
        known = self._known.get(key) if self._merged else None
        if known is not None:
            return known
        self._found.worlds += 1
        steps = world.steps()
        outcomes: dict[str, int] = {}
        # A disturbance need not happen: where nothing else is left, a history may end without it.
        if not steps or all(_is_disturbance(step) for step in steps):
            outcomes = self._end(world)
        for step in steps:
            after = self._step(world, step)
            for name, count in self._walk(after).items():
                outcomes[name] = outcomes.get(name, 0) + count
            self._path.pop()
        if self._merged:
            self._known[key] = outcomes
        return outcomes

    def _step(self, world: World, step: Step) -> World:
        self._path.append(_named(world, step))
        self._found.steps += 1
        after = world.take(step)
        for problem in after.problems:
            self._find(problem)
        after.problems = ()
        return after

    def _end(self, world: World) -> dict[str, int]:
        self._found.longest = max(self._found.longest, len(self._path))
        name, wrong = ending(world)
        for problem in wrong:
            self._find(problem)
        return {} if world.left else {name: 1}

    def _find(self, what: str) -> None:
        if len(self._found.findings) < FINDINGS_MAX and all(one.what != what for one in self._found.findings):
            self._found.findings.append(Finding(what, str(self._scenario), tuple(self._path)))


def _is_disturbance(step: Step) -> bool:
    return step[0] in ("late", "again", "repeat", "mute", "lost", "refuse", "dead")


def _named(world: World, step: Step) -> str:
    what, index = step
    if what in ("make", "arrive", "ask again"):
        return f"{what} {world.rules.calls[index].name}"
    if _is_disturbance(step):
        return ":".join(part for part in world.rules.disturbances[index] if part)
    return f"{what} {world.requests[index].id}"
