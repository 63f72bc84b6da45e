"""Finding a benchmark by its name: a package of `bench` whose `benchmark` has `main(seconds, as_json) -> int`.

One that has parts has them in `PARTS`, by name, and its `main` takes the names of those to measure as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sluice.errors import StartError

Main = Callable[[float, bool], "int | None"]


def find(name: str, parts: Sequence[str] = ()) -> Main:
    """The benchmark's `main`, for these parts or all. Raises StartError that lists what is known."""
    if importlib.util.find_spec("bench") is None:
        raise StartError("the benchmarks are not installed here; run from a clone of the repository")
    if name not in names():
        raise StartError(f"no benchmark {name}; there are: {', '.join(names())}")
    try:
        module = importlib.import_module(f"bench.{name}.benchmark")
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

    return sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.ispkg)
