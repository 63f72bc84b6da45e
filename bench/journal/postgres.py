"""A PostgreSQL for tests and benchmarks, from Debian's package: on a free port, in a directory that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sluice.dev.local.ports import free_ports

HOST = "127.0.0.1"
_FOLDERS = Path("/usr/lib/postgresql")
_START_S = 60


class NoPostgresError(Exception):
    """There is none here; the message says what to install."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database. Raises NoPostgresError."""
    programs = _programs()
    user = _user()
    directory = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    (port,) = free_ports(1)
    try:
        if user is not None:
            shutil.chown(directory, user)
        data, log = directory / "data", directory / "log"
        _run(programs / "initdb", "-D", str(data), "-U", "sluice", "-A", "trust", "-E", "UTF8", "--no-sync", user=user)
        options = f"-p {port} -c listen_addresses={HOST} -c unix_socket_directories={directory} -c fsync=off"
        _run(
            programs / "pg_ctl",
            *("-D", str(data), "-l", str(log), "-w", "-t", str(_START_S), "-o", options, "start"),
            user=user,
        )
        try:
            yield f"postgresql://sluice@{HOST}:{port}/postgres"
        finally:
            _run(programs / "pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop", user=user)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def has_postgres() -> bool:
    try:
        return bool(_programs() and (_user() or True))
    except NoPostgresError:
        return False


def _programs() -> Path:
    found = sorted(_FOLDERS.glob("*/bin/initdb"))
    if not found:
        raise NoPostgresError("no PostgreSQL here: apt-get install postgresql")
    return found[-1].parent


def _user() -> str | None:
    """The user that the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    if not Path("/dev/null").stat().st_mode & stat.S_IWOTH:
        raise NoPostgresError("PostgreSQL's user may not write to /dev/null here: chmod 666 /dev/null")
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    raise NoPostgresError("PostgreSQL does not run as root, and there is no user postgres")


def _run(program: Path, *arguments: str, user: str | None) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [program, *arguments], user=user, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise AssertionError(f"{program.name} failed: {done.stdout.decode(errors='replace')[-2_000:]}")
