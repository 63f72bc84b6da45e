"""The tree stays a house in which one finds the room: bounds on folders, modules, names and imports."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.unit.architecture.rooms import PACKAGES, circle, rooms

ROOT = Path(__file__).resolve().parents[3]
MODULES_MAX = 15
"""In one folder, `__init__` included: as many as a reader takes in at a glance."""
LINES_MAX = 400
"""In one module: more is rarely one idea."""
ROLES = (
    "streams/delivery",
    "streams/order",
    "streams/inventory",
    "streams/runtime",
    "gateway",
    "topics",
    "journal",
    "sluice",
    "bench",
)
"""Within each of these, a class name means one thing."""
BOUNDS = {
    # package: rooms, floors, arrows
    # `paths` is a room of its own, because the API, the contract's calls and channels make and read paths alike.
    # `compiled` is below all others: each package imports it first. `contract` knows `values`, so that members of its
    # enumerations are found at once.
    # `logs` is a room of its own: clients, which notice outages, and all roles write lines of one catalogue.
    # `destinations` is a room of its own: gateway and delivery follow the pauses of far sides and subscriptions alike.
    # So is `traces`: all roles hand on what a caller's trace says, and records carry it.
    # And so is `metrics`: all roles make theirs from one catalogue, and so do records that cannot be read.
    "topics": (19, 10, 55),
    # `queries` is a room of its own: it reads what `store` writes, hands rows to `story`, and knows ids as `rows` does.
    "journal": (7, 4, 11),
    # `siblings` is a room of its own, because jobs ask the other processes of the port, and only `app` starts it.
    "gateway": (13, 6, 39),
    # `preparing` waits between steps, which the pure `decide` cannot.
    "streams.runtime": (16, 7, 44),
    # `storage` is a room of its own, between the entities and all that reads, copies and writes them.
    "streams.order": (9, 6, 21),
    "streams.delivery": (16, 7, 60),
    "streams.delivery.stock": (12, 6, 24),
    "streams.inventory": (8, 5, 12),
    "sluice": (7, 4, 9),
    "sluice.dev": (8, 3, 7),
    "bench": (12, 4, 21),
}
"""What each package has at most. Raise one only with a reason: an arrow more is a room that is harder to know alone."""


OWN_JSON = {
    "topics/records/json_text.py": "the one reader",
    "topics/contract/sample_files.py": "samples of the contract",
    "topics/subscriptions/model.py": "subscriptions, which a gateway writes",
    "streams/delivery/lanes/spilled.py": "lanes on the local disk",
    "streams/order/records/ticks.py": "ticks, which the role writes",
    "sluice/dev/torture/log.py": "the log of its own receiver",
    "sluice/dev/torture/receiver.py": "facts, of which it counts the sequences",
}
"""Modules that read JSON by orjson itself, and what that is. Whatever comes from outside is read by `read`, so that its
numbers keep their digits and a text is judged alike everywhere."""


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the tree that is tracked, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    names = listed.stdout.split() or [
        str(path.relative_to(ROOT)) for top in (*PACKAGES, "tests") for path in (ROOT / top).rglob("*.py")
    ]
    return tuple(path for path in map(Path, names) if (ROOT / path).exists())


def test_a_folder_has_few_modules() -> None:
    sizes = Counter(path.parent for path in modules())
    assert {str(folder): size for folder, size in sizes.items() if size > MODULES_MAX} == {}


def test_a_module_is_short() -> None:
    lines = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > LINES_MAX} == {}


@pytest.mark.parametrize("role", ROLES)
def test_a_class_name_means_one_thing(role: str) -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        if path.is_relative_to(role):
            for node in ast.parse((ROOT / path).read_bytes()).body:
                if isinstance(node, ast.ClassDef):
                    defined[node.name].append(str(path))
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("package", [package for package in BOUNDS if package not in ("sluice.dev", "bench")])
def test_the_map_has_every_room(package: str) -> None:
    rooms_on_the_map = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Rooms")[2]
    folder = package.replace(".", "/")
    missing = {
        room for room in rooms(package).names if not re.search(rf"`{folder}/{room}(?:/|\.py)`", rooms_on_the_map)
    }
    assert missing == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_do_not_import_each_other_in_a_circle(package: str) -> None:
    assert circle(package) == []


@pytest.mark.parametrize("package", BOUNDS)
def test_rooms_are_few_and_know_few(package: str) -> None:
    found = rooms(package)
    bound = BOUNDS[package]
    measured = (len(found.names), found.floors, len(found.arrows))
    assert all(size <= limit for size, limit in zip(measured, bound, strict=True)), sorted(found.arrows)


def test_json_from_outside_has_one_reader() -> None:
    source = [path for path in modules() if path.parts[0] in ("gateway", "journal", "streams", "topics", "sluice")]
    found = {str(path) for path in source if "orjson.loads(" in (ROOT / path).read_text(encoding="utf-8")}
    assert found == set(OWN_JSON)
