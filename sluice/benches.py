"""Finding a benchmark by its name: a module of `bench` with `main(seconds, as_json) -> int`.

One that has parts has them in `PARTS`, by name, and its `main` takes the names of those to measure as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sluice.local.errors import StartError

Main = Callable[[float, bool], "int | None"]


def find(name: str, parts: Sequence[str] = ()) -> Main:
    """The benchmark's `main`, for these parts or all. Raises StartError that lists what is known."""
    if importlib.util.find_spec("bench") is None:
        raise StartError("the benchmarks are not installed here; run from a clone of the repository")
    if name not in names():
        raise StartError(f"no benchmark {name}; there are: {', '.join(names())}")
    try:
        module = importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError as error:
        raise StartError(f"the benchmark {name} needs {error.name}; `make setup` installs it") from error
    known: Mapping[str, object] = getattr(module, "PARTS", {})
    for part in parts:
        if part not in known:
            raise StartError(f"the benchmark {name} has no part {part}; it has: {', '.join(known) or 'none'}")
    main: Main = partial(module.main, parts=parts) if parts else module.main
    return main


def names() -> list[str]:
    import bench  # noqa: PLC0415 - it is not part of every installation

    found = (module.name for module in pkgutil.iter_modules(bench.__path__) if not module.ispkg)
    return sorted(name for name in found if _is_benchmark(name))


def _is_benchmark(name: str) -> bool:
    """Whether the module says `def main(`; looked up in its source, because importing all of them is slow."""
    spec = importlib.util.find_spec(f"bench.{name}")
    if spec is None or spec.origin is None:
        return False
    with open(spec.origin, encoding="utf-8") as source:  # noqa: PTH123 - a path as the import system gives it
        return "\ndef main(" in source.read()
