"""Facts of operators' actions as records of `operators.events`.

An action is written in this sequence: the fact that it begins, its effect, the fact of its end. The writer waits for
all in-sync replicas each time, so no effect is without a fact; where it dies in between, the action has no end.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from topics.records.envelope import FACT, NO_CHANNEL, Headers, event_headers
from topics.records.facts.catalogue import name_of
from topics.records.facts.operators import ActionBegun, OperatorFact

TOPIC: Final = "operators.events"
"""The catalogue name."""
BEGUN: Final = FACT + name_of(ActionBegun)
OPERATOR_SOURCE: Final = "/operator"
"""ce_source of what a command of an operator writes itself, without a gateway."""
_ID_BYTES: Final = 8


class ActionRecord(NamedTuple):
    """`event`: its ce_id, which is another one each time that the same fact is written."""

    event: str
    key: bytes
    value: bytes
    headers: Headers


def record_of(fact: OperatorFact, source: str) -> ActionRecord:
    event = os.urandom(_ID_BYTES).hex()
    channel = fact.channel if isinstance(fact, ActionBegun) else ""
    kind = FACT + name_of(type(fact))
    headers = event_headers(event, kind, source, channel or NO_CHANNEL, fact.id, fact.atMs)
    return ActionRecord(event, fact.id.encode(), fact.model_dump_json().encode(), headers)
