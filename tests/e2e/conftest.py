"""One Sluice for the tests of a module; a test that ends it starts its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack(tmp_path_factory.mktemp("up") / "data")
    started.start()
    yield started
    started.close()


@pytest.fixture
def new_stack(tmp_path: Path) -> Iterator[Stack]:
    """Not started yet."""
    fresh = Stack(tmp_path / "data")
    yield fresh
    fresh.close()


@pytest.fixture(scope="session")
def code() -> Callable[[], str]:
    """A new order code at each call."""
    numbers = itertools.count(1)
    run = f"{os.getpid() % 10000:04d}"
    return lambda: f"T-{run}-{next(numbers):05d}"


@pytest.fixture(scope="session")
def shipment_id() -> Callable[[], int]:
    numbers = itertools.count(4_810_000)
    return lambda: next(numbers)
