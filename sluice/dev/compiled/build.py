"""`make compiled`: compiles the modules of the list with mypyc and the C compiler of this machine.

What is compiled is a copy of the sources, and the manifest has the digests of that copy: a source that is edited
meanwhile differs from the manifest, and is found to.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sluice.dev.compiled.modules import compiled_modules
from topics.compiled import FOLDER, MANIFEST, ROOT, SUFFIX, changed_source, digest_of

PACKAGES = ("topics", "streams", "gateway")
"""The packages that may have compiled modules; none of them imports another package of the tree."""
LIBRARY = "sluice_compiled"
"""All compiled modules are in one library, `sluice_compiled__mypyc`, so that they call each other directly."""
OPTIMISATION = "2"
CONFIGURATION = "[mypy]\nstrict = True\nplugins = pydantic.mypy\nwarn_unused_ignores = False\n" + "".join(
    f"[mypy-{library}.*]\nignore_missing_imports = True\nfollow_imports = skip\n"
    for library in ("aiokafka", "faust", "mode", "cramjam", "pyarrow")
)
"""mypy's settings for the compiler: those of `make lint`, without the files that are checked there."""


class BuildError(Exception):
    """The build cannot begin; the message says what is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sluice.dev.compiled.build", description="Build compiled modules.")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that holds the packages (default: this tree)")
    parser.add_argument("-O", dest="optimisation", default=OPTIMISATION, help="level of the C compiler (default: 2)")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    modules = list(compiled_modules(root))
    recipe = {"modules": modules, "optimisation": options.optimisation, "mypy": version("mypy"), "suffix": SUFFIX}
    if is_current(root, recipe):
        sys.stdout.write(f"{root / FOLDER} is up to date: {len(modules)} compiled modules\n")
        return 0
    try:
        require_compiler()
        sys.stdout.write(f"compiling {len(modules)} modules, some minutes ...\n")
        sys.stdout.flush()
        build(root, modules, recipe)
    except BuildError as error:
        sys.stderr.write(f"Nothing was compiled; everything works interpreted. {error}\n")
        return 2
    sys.stdout.write(f"{len(modules)} compiled modules are in {root / FOLDER}\n")
    return 0


def is_current(root: Path, recipe: dict[str, Any]) -> bool:
    try:
        manifest = json.loads((root / FOLDER / MANIFEST).read_bytes())
        return manifest["recipe"] == recipe and changed_source(root, manifest["sources"]) is None
    except (OSError, ValueError, KeyError):
        return False


def require_compiler() -> None:
    """Raises BuildError without a C compiler or Python's headers."""
    command = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(os.environ.get("CC", command).split()[0]) is None:
        raise BuildError("There is no C compiler. On Debian or Ubuntu: apt install gcc")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise BuildError("Python's headers are missing. On Debian or Ubuntu: apt install python3-dev")


def build(root: Path, modules: Sequence[str], recipe: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER}-", dir=root) as made_in:
        work = Path(made_in)
        tree, made = work / "tree", work / "made"
        stats = {path: path.stat() for package in PACKAGES for path in (root / package).rglob("*.py")}
        for path in stats:
            copy = tree / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        compile_modules(tree, modules, made, str(recipe["optimisation"]))
        sources = {
            name: (stats[root / name].st_size, stats[root / name].st_mtime_ns, digest_of(tree / name))
            for name in sorted(read_by(tree, modules))
        }
        files = {path.relative_to(made).as_posix() for path in made.rglob(f"*{SUFFIX}")}
        names = {file.removesuffix(SUFFIX).replace("/", "."): file for file in sorted(files)}
        manifest = {"suffix": SUFFIX, "recipe": recipe, "modules": names, "sources": sources}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        if (root / FOLDER).exists():
            (root / FOLDER).rename(work / "before")
        made.rename(root / FOLDER)


def compile_modules(tree: Path, modules: Iterable[str], made: Path, optimisation: str) -> None:
    """Compiles modules of `tree` into `made`, a folder tree like that of the sources. Changes the working folder."""
    # Only a build needs these, and setuptools must come before mypyc.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    configuration = tree / "mypy.ini"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    before = Path.cwd()
    os.chdir(tree)
    try:
        extensions = mypycify(
            ["--config-file", str(configuration), *modules],
            opt_level=optimisation,
            debug_level="0",
            group_name=LIBRARY,
            target_dir="c",
        )
        command: Any = Distribution({"name": "sluice", "ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(made), "objects"
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)


def read_by(tree: Path, modules: Iterable[str]) -> set[str]:
    """The modules and whatever of the tree they import, at first or at second hand: the compiler has read all of it,
    and has types and constants of it in its code."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting.extend(imported_by(tree, name))
    return found


def imported_by(tree: Path, module: str) -> Iterator[str]:
    """The files of the tree that one module imports, and the packages they are in."""
    for node in ast.walk(ast.parse((tree / module).read_bytes(), module)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (
                file
                for n in range(1, len(parts) + 1)
                for file in ("/".join(parts[:n]) + ".py", "/".join([*parts[:n], "__init__.py"]))
                if (tree / file).exists()
            )


if __name__ == "__main__":
    sys.exit(main())
