"""Kafka's jars, resolved once by Maven and kept in the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from sluice.errors import StartError

KAFKA_VERSION = "4.3.0"
POM = Path(__file__).with_name("pom.xml")
LOG_CONFIGURATION = Path(__file__).with_name("log4j2.xml")

_NEEDED = (
    f"kafka_2.13-{KAFKA_VERSION}.jar",
    f"kafka-tools-{KAFKA_VERSION}.jar",
    "log4j-slf4j-impl-2.25.4.jar",
)
"""The direct dependencies of pom.xml: a cache without them was filled by another version of it."""
_JAVA_MIN = 17
_PROBE_TIMEOUT_S = 20
_MAVEN_TIMEOUT_S = 900
"""50 MB over a slow line; Maven gives up on a dead connection much earlier."""


def cache_dir() -> Path:
    """Return the user's directory of jars: `$XDG_CACHE_HOME/sluice/kafka-<version>`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sluice" / f"kafka-{KAFKA_VERSION}"


def class_archive(java: str, jars: Path) -> Path:
    """Return the path of the archive of Kafka's classes for this Java and these jars: see class_archive.py."""
    binary = Path(java).resolve()
    about = [str(binary), str(binary.stat().st_mtime_ns), *sorted(jar.name for jar in jars.glob("*.jar"))]
    return jars.with_name(f"classes-{blake2b('|'.join(about).encode(), digest_size=8).hexdigest()}.jsa")


def find_java() -> str:
    """Return the Java that runs Kafka. Raises StartError when there is none, or one that is too old."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else None
    java = java or shutil.which("java")
    if java is None:
        raise StartError(
            "Java is missing: Kafka needs Java 17 or newer.\n"
            "  On Debian or Ubuntu: apt install openjdk-17-jre-headless   (or use your own Kafka: --kafka HOST:PORT)"
        )
    version = _java_version(java)
    if version is not None and version < _JAVA_MIN:
        raise StartError(
            f"{java} is Java {version}: Kafka needs Java 17 or newer.\n"
            "  On Debian or Ubuntu: apt install openjdk-17-jre-headless   (or set JAVA_HOME to a newer one)"
        )
    return java


@lru_cache
def _java_version(java: str) -> int | None:
    """Return the major version, None when Java prints it in an unknown way."""
    try:
        printed = subprocess.run(  # noqa: S603 - found on the PATH
            [java, "-version"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{java} cannot be run: {error}") from error
    match = re.search(r'version "(\d+)(?:\.(\d+))?', printed.stderr + printed.stdout)
    if match is None:
        return None
    major = int(match.group(1))
    return int(match.group(2) or 0) if major == 1 else major


def ensure_jars(say: Callable[[str], None] = lambda _: None) -> Path:
    """Return the directory with Kafka's jars, filled on first use. Two processes may fill it at once."""
    final = cache_dir()
    if _is_complete(final):
        return final
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError(
            "Maven is missing: it fetches Apache Kafka once.\n"
            "  On Debian or Ubuntu: apt install maven openjdk-17-jre-headless   (or use your own: --kafka HOST:PORT)"
        )
    find_java()
    say(f"fetching Apache Kafka {KAFKA_VERSION} (once, about 50 MB) ...")
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="fetching-") as scratch:
        fetched = _fetch(maven, Path(scratch))
        if final.exists() and not _is_complete(final):
            _top_up(final, fetched)
        else:
            _move(fetched, final)
    return final


def _fetch(maven: str, scratch: Path) -> Path:
    """Run Maven on a copy of the pom, so that nothing is written beside the source."""
    jars = scratch / "jars"
    shutil.copy(POM, scratch / "pom.xml")
    command = [maven, "-q", "-B", "-f", str(scratch / "pom.xml"), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(  # noqa: S603 - found on the PATH
            command, cwd=scratch, capture_output=True, text=True, timeout=_MAVEN_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StartError(
            f"Maven did not fetch Kafka within {_MAVEN_TIMEOUT_S} s; is a repository reachable?"
        ) from error
    if done.returncode != 0 or not _is_complete(jars):
        tail = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[:8])
        raise StartError(f"Maven could not fetch Apache Kafka {KAFKA_VERSION} (exit code {done.returncode}):\n{tail}")
    return jars


def _is_complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _NEEDED)


def _move(fetched: Path, final: Path) -> None:
    try:
        fetched.rename(final)
    except OSError:
        if not _is_complete(final):  # else another process was first, with the same jars
            raise


def _top_up(final: Path, fetched: Path) -> None:
    """Add missing jars to a directory that running brokers may be reading; remove nothing from it."""
    for jar in sorted(fetched.iterdir()):
        if not (final / jar.name).exists():
            jar.rename(final / jar.name)
