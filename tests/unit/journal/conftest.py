"""The journal that the tests of this room write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.journal.reading import Journal


@pytest_asyncio.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = await Journal(tmp_path).begin()
    yield made
    await made.engine.dispose()
