"""Two distributions from one tree: the product works without its developer tools, and the two share no file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path
from zipfile import ZipFile

import pytest

from sluice.cli.dev_tools import NAMES
from topics.compiled import VARIABLE

ROOT = Path(__file__).resolve().parents[3]
PRODUCT, DEV = "sluice_gateway", "sluice_gateway_dev"
PACKAGES = ("topics", "journal", "gateway", "streams", "sluice")
SETUPTOOLS_MIN = 77
"""As pyproject.toml wants it. With one that is here, the build needs no network."""
IMPORT_ALL = """
import importlib, pkgutil
for module in pkgutil.walk_packages([sys.path[0]]):
    if not module.name.endswith(("__main__", "migrations.env")):  # programs: Alembic runs the last
        importlib.import_module(module.name)
"""
RUN = "import sys; sys.path[:] = [sys.argv.pop(1), *sys.path, sys.argv.pop(1)]; "


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels, by the name of their distribution. They are built from a copy: a build writes beside its source."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheels")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    isolation = ["--no-build-isolation"] if int(version("setuptools").split(".")[0]) >= SETUPTOOLS_MIN else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", str(out)]
    subprocess.run([*command, str(tree), str(tree / "sluice" / "dev")], check=True, timeout=170)
    return {wheel.name.split("-")[0]: wheel for wheel in out.iterdir()}


def contents(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def source(*folders: str) -> set[str]:
    """Every file of these folders that belongs into a wheel."""
    kinds = (".py", ".json", ".xml")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds)
    return {str(path.relative_to(ROOT)) for path in found}


def install(tmp_path: Path, *wheels: Path) -> Path:
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
    return tmp_path


def python(installed: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code with what is installed. Without `site` (-S): an editable installation would find this tree's modules."""
    command = [sys.executable, "-I", "-S", "-c", RUN + code, str(installed), get_path("purelib"), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}  # no build is installed
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=installed, env=environment, timeout=120
    )


def sluice(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(installed, "from sluice.cli.main import main; main(prog_name='sluice')", *arguments)


def test_each_file_is_in_one_distribution(wheels: Mapping[str, Path]) -> None:
    assert set(wheels) == {PRODUCT, DEV}
    dev = source("sluice/dev")
    assert contents(wheels[DEV]) == dev
    assert contents(wheels[PRODUCT]) == source(*PACKAGES) - dev


def test_the_product_works_without_its_developer_tools(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    installed = install(tmp_path, wheels[PRODUCT])
    assert python(installed, IMPORT_ALL).stderr == ""
    helped = sluice(installed, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    listed = set(re.findall(r"^  ([a-z]+) ", helped.stdout, re.MULTILINE))
    assert {"run", "orders", "inventory", *NAMES} <= listed
    for name in NAMES:
        asked = sluice(installed, name, "--help")
        assert asked.returncode == 2
        assert f"`sluice {name}` is one of the developer tools" in asked.stderr
        assert "pip install 'sluice-gateway[dev]'" in asked.stderr
    checked = sluice(installed, "check", "-")
    assert "0 records" in checked.stdout, "the built-in channel is the product's"


def test_the_developer_tools_join_the_command(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    installed = install(tmp_path, wheels[PRODUCT], wheels[DEV])
    for name in NAMES:
        assert "not installed" not in sluice(installed, name, "--help").stdout
    asked = sluice(installed, "bench", "ingress")
    assert asked.returncode == 2
    assert "from a clone of the repository" in asked.stderr


def test_both_are_of_one_version() -> None:
    texts = [(ROOT / folder / "pyproject.toml").read_text(encoding="utf-8") for folder in ("", "sluice/dev")]
    (product,), (dev,) = (re.findall(r'^version = "(.*)"$', text, re.MULTILINE) for text in texts)
    assert product == dev
    assert f'"sluice-gateway-dev=={product}"' in texts[0]
    assert f'"sluice-gateway=={product}"' in texts[1]
