"""Files that only their user may read: state, logs and keys on this machine's disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

UMASK = 0o077
"""Takes everything from others, of each file that a process and its children make."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(directory: Path) -> None:
    """Makes a directory for this user only, and tightens one that is there, unless others need it. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if directory not in missing:
        directory.mkdir(exist_ok=True)  # raises if it is a file
        if not _is_needed(directory):
            _tighten(directory)


def make_private_file(path: Path) -> None:
    """Makes an empty file for this user only. Raises OSError, also if there is one."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def tighten_all(directory: Path, *, not_below: Collection[str]) -> None:
    """Tightens what is in a directory of ours. `not_below`: names of directories in which all is left as it is."""
    for folder, directories, files in os.walk(directory):
        for name in (*directories, *files):
            _tighten(Path(folder, name))
        directories[:] = [name for name in directories if name not in not_below]


def _tighten(path: Path) -> None:
    """Takes away what others may do with it, if it is this user's and no link."""
    try:
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.getuid() and found.st_mode & _OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except FileNotFoundError:
        return  # another process has just deleted it


def _is_needed(directory: Path) -> bool:
    """Whether other users may need it: as /tmp, as a home, or because somebody works in it."""
    found = directory.resolve()
    used = [Path.cwd(), Path.home().resolve()]
    return bool(found.stat().st_mode & stat.S_ISVTX) or any(found in (place, *place.parents) for place in used)
