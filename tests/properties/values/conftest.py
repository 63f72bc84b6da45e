"""One gateway for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.properties.values.world import Sluice


@pytest.fixture(scope="module")
def sluice() -> Iterator[Sluice]:
    made = Sluice()
    yield made
    made.close()
