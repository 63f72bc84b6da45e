"""What Sluice writes to disk is its user's only, also where it was everybody's; what others need is left alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.runtime.tables.local_store import LocalStore, LocalStoreError
from topics.configuration.private_files import make_private, make_private_file, tighten_all


@pytest.fixture(autouse=True)
def everybodys() -> Iterator[None]:
    """The usual umask, with which everybody may read what is made."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_directory_is_made_private_with_those_above_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path / "a" / "b")
    assert [mode(path) for path in (tmp_path / "a" / "b", tmp_path / "a", tmp_path)] == [0o700, 0o700, 0o755]


def test_a_directory_that_is_there_is_tightened(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    make_private(tmp_path / "old")
    assert mode(tmp_path / "old") == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file")


def test_what_others_need_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, home, work = tmp_path / "shared", tmp_path / "home", tmp_path / "home" / "work" / "here"
    work.mkdir(parents=True)
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for path in (shared, home, work, work.parent, Path()):
        before = mode(path)
        make_private(path)
        assert mode(path) == before
    (work / ".sluice").mkdir()
    make_private(Path(".sluice"))
    assert mode(work / ".sluice") == 0o700


def test_all_that_is_in_a_directory_is_tightened_and_links_lead_nowhere(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for path in (data / "logs", data / "kafka" / "data", elsewhere):
        path.mkdir(parents=True)
    for path in (data / "logs" / "a.log", data / "kafka" / "data" / "0.log", elsewhere / "x", data / "run.sh"):
        path.write_text("")
        path.chmod(0o755)
    (data / "link").symlink_to(elsewhere)
    tighten_all(data, not_below=("kafka",))
    found = {str(path.relative_to(tmp_path)): mode(path) for path in tmp_path.rglob("*") if not path.is_symlink()}
    assert found == {
        "data": 0o755,  # by make_private
        "data/logs": 0o700,
        "data/logs/a.log": 0o700,
        "data/run.sh": 0o700,
        "data/kafka": 0o700,
        "data/kafka/data": 0o755,
        "data/kafka/data/0.log": 0o755,
        "elsewhere": 0o755,
        "elsewhere/x": 0o755,
    }


def test_a_private_file_is_never_one_that_was_there(tmp_path: Path) -> None:
    make_private_file(tmp_path / "new")
    assert mode(tmp_path / "new") == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("new", "link"):
        with pytest.raises(FileExistsError):
            make_private_file(tmp_path / name)
    assert not (tmp_path / "target").exists()


def test_the_state_of_a_role_is_private(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "orders-0.tables"
    path.write_text("of a former process")
    store = LocalStore(path)
    store.create("a PRIMARY KEY")
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    store.clear()
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalStoreError, match="SLUICE_STATE_DIR"):
        LocalStore(tmp_path / "file" / "x.tables").create("a PRIMARY KEY")
