"""The noisy channel's bodies are the worst that the limits allow, and what they do not allow."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from bench.noisy import bodies
from topics.configuration.settings import BODY_BYTES_MAX
from topics.contract.models.orders import CreateOutwardOrder
from topics.records.shape import has_too_many_values


@pytest.mark.parametrize(("body", "is_refused"), [(bodies.lines, False), (bodies.texts, False), (bodies.lists, True)])
def test_they_are_as_large_as_a_body_may_be(body: Callable[[], bytes], is_refused: bool) -> None:
    raw = body()
    assert 0.95 * BODY_BYTES_MAX < len(raw) < BODY_BYTES_MAX
    assert has_too_many_values(raw) is is_refused
    CreateOutwardOrder.model_validate(orjson.loads(raw))
