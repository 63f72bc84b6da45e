"""Finds the compiled form of modules, where `make compiled` has built it from the sources as they are now.

The build is in `.compiled` beside the packages: one extension module for each compiled module, and a manifest with the
digest of each source that it was made from. The sources are never shadowed in their own folders. A source that has
changed since makes the build unusable: the process does not start, so no old code runs beside new sources.

Imported by the packages with compiled modules before anything else of theirs. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Final, NamedTuple

VARIABLE: Final = "SLUICE_COMPILED"
"""`0`: interpreted, whatever is built. `1`: a process without a usable build does not start."""
FOLDER: Final = ".compiled"
MANIFEST: Final = "manifest.json"
ROOT: Final = Path(__file__).resolve().parent.parent
"""The folder that holds the packages: a clone, or site-packages."""
SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""Names the Python that extension modules are made for, such as `.cpython-311-x86_64-linux-gnu.so`."""


COMPILED: Final = "sluice_compiled"
"""A metric of every role."""


class CompiledError(ImportError):
    """The build of compiled modules cannot be used as it is; the message says what to do.

    It comes out of the import of this module, so a caller cannot know its class, and tells it by its `name`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, name=COMPILED)


class Form(NamedTuple):
    """How the modules of this process run: `why` is a clause for an operator."""

    compiled: bool
    why: str

    def __str__(self) -> str:
        return f"{'compiled' if self.compiled else 'interpreted'}: {self.why}"


class _Finder:
    """Finds the modules of a build before their sources."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._files = files

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        file = self._files.get(name)
        if file is None:
            return None
        where = str(self._folder / file)
        return spec_from_file_location(name, where, loader=ExtensionFileLoader(name, where))


def digest_of(source: Path) -> str:
    return hashlib.blake2b(source.read_bytes(), digest_size=16).hexdigest()


def changed_source(root: Path, sources: Mapping[str, Sequence[object]]) -> str | None:
    """The first source that is not as the build was made from, None where all are. `sources`: by their path the size,
    the time of the last change in ns, and the digest. Only a source with another size or time is read."""
    for name, (size, time_ns, digest) in sources.items():
        path = root / name
        try:
            found = path.stat()
            if (found.st_size, found.st_mtime_ns) != (size, time_ns) and digest_of(path) != digest:
                return name
        except OSError:
            return name
    return None


def install(root: Path = ROOT, wanted: str | None = None) -> Form:
    """Lets the compiled modules of `root` be found, where there is a usable build. Raises CompiledError for one that
    is older than its sources, and for none where `wanted` (the variable SLUICE_COMPILED) asks for one."""
    wanted = os.environ.get(VARIABLE, "") if wanted is None else wanted
    if wanted not in ("", "0", "1"):
        raise CompiledError(f"{VARIABLE}={wanted}: must be 0 (interpreted) or 1 (compiled), or not set")
    if wanted == "0":
        return Form(compiled=False, why=f"{VARIABLE}=0")
    folder = root / FOLDER
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return _interpreted(wanted, "nothing is built, see `make compiled`")
    except (OSError, ValueError) as error:
        raise CompiledError(f"{folder / MANIFEST}: {error}; build again with `make compiled`") from error
    if manifest["suffix"] != SUFFIX:
        return _interpreted(wanted, f"the build is for another Python ({manifest['suffix']}, not {SUFFIX})")
    changed = changed_source(root, manifest["sources"])
    if changed is not None:
        raise CompiledError(
            f"{root / changed} has changed since the build in {folder}: build again with `make compiled`,"
            f" or remove the build with `make interpreted` ({VARIABLE}=0 passes it over for once)"
        )
    sys.meta_path.insert(0, _Finder(folder, manifest["modules"]))
    return Form(compiled=True, why=f"{len(manifest['modules']) - 1} modules of {folder}")


def _interpreted(wanted: str, why: str) -> Form:
    if wanted == "1":
        raise CompiledError(f"{VARIABLE}=1, but {why}")
    return Form(compiled=False, why=why)


FORM: Final = install()
"""The form of this process."""
