"""What every test of subscribers has."""

from __future__ import annotations

import pytest

from streams.delivery.outbox import header_sweeper as headers
from tests.unit.delivery.subscribers.playing import DAY_MS


@pytest.fixture(autouse=True)
def _seldom_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are played here, and nothing of them is about headers that are forgotten."""
    monkeypatch.setattr(headers, "SWEEP_EVERY_MS", 10 * DAY_MS)
