"""Finds a benchmark by its name: a package of `bench`, whose `benchmark` has `main(seconds, as_json) -> int`.

A benchmark with parts has them in `PARTS`, by name; its `main` then takes the names of those to measure as well.
The benchmarks are in no distribution: they are found in the clone that this module was loaded from.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sluice.errors import StartError

CLONE = Path(__file__).parents[2]
Main = Callable[[float, bool], "int | None"]


def find(name: str, parts: Sequence[str] = ()) -> Main:
    """Return the benchmark's `main` for these parts, or for all. Raises StartError that lists the known names."""
    known = names()
    if not known:
        raise StartError("the benchmarks are not installed here; run `sluice bench` from a clone of the repository")
    if name not in known:
        raise StartError(f"no benchmark {name}; there are: {', '.join(known)}")
    if str(CLONE) not in sys.path:
        sys.path.append(str(CLONE))
    try:
        module = importlib.import_module(f"bench.{name}.benchmark")
    except ModuleNotFoundError as error:
        raise StartError(f"the benchmark {name} needs {error.name}; `make setup` installs it") from error
    known_parts: Mapping[str, object] = getattr(module, "PARTS", {})
    for part in parts:
        if part not in known_parts:
            raise StartError(f"the benchmark {name} has no part {part}; it has: {', '.join(known_parts) or 'none'}")
    main: Main = partial(module.main, parts=parts) if parts else module.main
    return main


def names() -> list[str]:
    """Return the names of all benchmarks; none where this is no clone."""
    return sorted(module.name for module in pkgutil.iter_modules([str(CLONE / "bench")]) if module.ispkg)
