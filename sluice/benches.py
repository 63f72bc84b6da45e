"""Finding a benchmark by its name: a module of `bench` with `main(seconds, as_json) -> int`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable

from sluice.local.errors import StartError

Main = Callable[[float, bool], "int | None"]


def find(name: str) -> Main:
    """The benchmark's `main`. Raises StartError that lists the known ones."""
    if importlib.util.find_spec("bench") is None:
        raise StartError("the benchmarks are not installed here; run from a clone of the repository")
    if name not in names():
        raise StartError(f"no benchmark {name}; there are: {', '.join(names())}")
    try:
        module = importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError as error:
        raise StartError(f"the benchmark {name} needs {error.name}; `make setup` installs it") from error
    main: Main = module.main
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
