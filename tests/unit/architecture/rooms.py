"""The rooms of a package and the imports between them, read from the import graph.

A room of a package is a module or folder directly below it. An arrow is "some module of this room imports some module
of that one". Floors are the rooms on the longest chain of arrows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = ("topics", "journal", "gateway", "streams", "sluice", "bench")


@cache
def imports() -> grimp.ImportGraph:
    """Every import between modules of the tree, those under TYPE_CHECKING and inside functions included."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


@dataclass(frozen=True, slots=True)
class Rooms:
    package: str
    names: frozenset[str]
    arrows: frozenset[tuple[str, str]]

    @property
    def floors(self) -> int:
        """Raises CycleError when rooms import each other in a circle."""
        height: dict[str, int] = {}
        for name in self.order():
            below = (height[to] for start, to in self.arrows if start == name)
            height[name] = 1 + max(below, default=0)
        return max(height.values(), default=0)

    def order(self) -> Iterable[str]:
        """The rooms, each after those that it imports."""
        graph: dict[str, set[str]] = {name: set() for name in self.names}
        for start, to in self.arrows:
            graph[start].add(to)
        return TopologicalSorter(graph).static_order()


def rooms(package: str) -> Rooms:
    """The rooms directly below `package`; its own `__init__` is none of them."""
    graph = imports()
    inside = graph.find_descendants(package)

    def room(module: str) -> str:
        return module[len(package) + 1 :].partition(".")[0]

    arrows = {
        (room(module), room(imported))
        for module in inside
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in inside and room(module) != room(imported)
    }
    return Rooms(package, frozenset(room(module) for module in inside), frozenset(arrows))


def circle(package: str) -> list[str]:
    """One circle of imports between the modules of `package`, or nothing."""
    graph = imports()
    modules = graph.find_descendants(package) | {package}
    below = {module: graph.find_modules_directly_imported_by(module) & modules for module in modules}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
