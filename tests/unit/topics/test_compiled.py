"""The compiled form of modules: which build is used, and what a build that is not usable says."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

import pytest

from sluice.dev.compiled.build import is_current, read_by
from sluice.dev.compiled.modules import LEFT_OUT, compiled_modules
from topics import compiled
from topics.compiled import FOLDER, FORM, MANIFEST, ROOT, SUFFIX, VARIABLE, CompiledError, digest_of, install

SOURCE = "topics/words.py"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with one source, and a build of it."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    source = tmp_path / SOURCE
    source.parent.mkdir()
    source.write_text("WORD = 1\n")
    describe(tmp_path)
    return tmp_path


def describe(root: Path, **changed: Any) -> None:
    (root / FOLDER).mkdir(exist_ok=True)
    stat = (root / SOURCE).stat()
    sources = {SOURCE: [stat.st_size, stat.st_mtime_ns, digest_of(root / SOURCE)]}
    manifest = {"suffix": SUFFIX, "recipe": {}, "modules": {"topics.words": "topics/words.so"}, "sources": sources}
    (root / FOLDER / MANIFEST).write_text(json.dumps(manifest | changed))


def test_modules_of_a_build_are_found_in_it(built: Path) -> None:
    form = install(built, "")
    assert form.compiled
    finder: Any = sys.meta_path[0]
    spec = finder.find_spec("topics.words")
    assert spec.origin == str(built / FOLDER / "topics/words.so")
    assert isinstance(spec.loader, ExtensionFileLoader)
    assert finder.find_spec("topics.others") is None


def test_changed_sources_are_never_run_in_their_old_form(built: Path) -> None:
    (built / SOURCE).write_text("WORD = 2\n")
    with pytest.raises(CompiledError, match=r"topics/words\.py has changed .* `make compiled`, .* `make interpreted`"):
        install(built, "")
    assert not install(built, "0").compiled


def test_a_source_that_is_gone_has_changed(built: Path) -> None:
    (built / SOURCE).unlink()
    with pytest.raises(CompiledError, match="has changed"):
        install(built, "")


def test_a_source_that_was_touched_or_checked_out_again_has_not_changed(built: Path) -> None:
    os.utime(built / SOURCE, (1, 1))
    assert install(built, "1").compiled
    assert is_current(built, {})
    assert not is_current(built, {"optimisation": "3"})


def test_without_a_build_everything_is_interpreted(tmp_path: Path) -> None:
    assert str(install(tmp_path, "")) == "interpreted: nothing is built, see `make compiled`"
    with pytest.raises(CompiledError, match="SLUICE_COMPILED=1, but nothing is built"):
        install(tmp_path, "1")


def test_a_build_for_another_python_is_not_used(built: Path) -> None:
    describe(built, suffix=".cpython-399.so")
    assert not install(built, "").compiled
    with pytest.raises(CompiledError, match="for another Python"):
        install(built, "1")


def test_a_manifest_that_cannot_be_read_is_said(built: Path) -> None:
    (built / FOLDER / MANIFEST).write_text("{")
    with pytest.raises(CompiledError, match="build again with `make compiled`"):
        install(built, "")


def test_another_value_of_the_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompiledError, match="SLUICE_COMPILED=yes: must be 0"):
        install(tmp_path, "yes")


def test_a_role_that_cannot_have_its_form_says_so_in_a_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "run", "orders"],
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: "yes"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("Error: SLUICE_COMPILED=yes: must be 0")


def test_the_list_names_what_there_is() -> None:
    assert [name for name in LEFT_OUT if not (ROOT / name).exists()] == []
    assert len(list(compiled_modules(ROOT))) == len(set(compiled_modules(ROOT)))


def test_whatever_a_compiled_module_imports_is_looked_at() -> None:
    found = read_by(ROOT, ["streams/order/machine/decide.py"])
    assert {"streams/__init__.py", "streams/order/machine/transitions.py", "topics/contract/touchpoints.py"} <= found


@pytest.mark.skipif(not FORM.compiled, reason="nothing is built, or it is passed over")
def test_this_process_runs_the_compiled_form() -> None:
    for name in compiled_modules(ROOT):
        module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
        assert str(module.__file__).endswith(SUFFIX), name


@pytest.mark.parametrize("package", ["topics", "streams.order", "gateway"])
def test_each_package_finds_it_first(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {package}; print('topics.compiled' in sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
    assert compiled.COMPILED == "sluice_compiled"


def test_few_tests_are_run_in_one_form_only() -> None:
    """Each replaces a function of ours, so that a decision fails where only a defect would make it fail."""
    marked = [
        path.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line == "@patches_compiled"
    ]
    assert sorted(marked) == [
        "test_refused_calls.py",
        "test_role.py",
        "test_ticks.py",
        "test_ticks.py",
        "test_ticks.py",
    ]
