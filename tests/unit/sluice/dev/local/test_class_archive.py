"""Kafka starts with the classes that were kept for this Java and these jars, and without where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluice.dev.local.broker import Broker
from sluice.dev.local.class_archive import keep_classes
from sluice.dev.local.jars import class_archive


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java that only writes down what it was told."""
    path = tmp_path / "java"
    path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n', encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return path


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    directory = tmp_path / "kafka"
    directory.mkdir()
    (directory / "kafka.jar").touch()
    return directory


def started_with(java: Path, jars: Path, keep: Path | None = None) -> str:
    """What Java was told when Kafka was started."""
    Broker(java.parent / "data", 1, 2).spawn(jars, keep).wait()
    return (java.parent / "told").read_text(encoding="utf-8").splitlines()[-1]


def test_kept_classes_are_used_by_the_java_and_with_the_jars_that_they_are_of(java: Path, jars: Path) -> None:
    assert "Archive" not in started_with(java, jars)
    kept = class_archive(str(java), jars)
    kept.touch()
    assert f"-XX:SharedArchiveFile={kept} " in started_with(java, jars)
    (jars / "another.jar").touch()
    assert "Archive" not in started_with(java, jars)
    (jars / "another.jar").unlink()
    assert str(kept) in started_with(java, jars)
    os.utime(java, (1, 1))  # another release in the same place
    assert "Archive" not in started_with(java, jars)


def test_who_keeps_classes_starts_without_those_that_were_kept(java: Path, jars: Path) -> None:
    class_archive(str(java), jars).touch()
    told = started_with(java, jars, jars / "new")
    assert f"-XX:ArchiveClassesAtExit={jars / 'new'}" in told
    assert "SharedArchiveFile" not in told


def test_nothing_is_started_when_the_classes_are_there(java: Path, jars: Path) -> None:
    class_archive(str(java), jars).touch()
    assert keep_classes(str(java), jars)
    assert not (java.parent / "told").exists()
