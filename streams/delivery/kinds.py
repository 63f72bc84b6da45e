"""KINDS: what a request may be, by the name it carries: a call of the contract, or a fact for a subscriber."""

from __future__ import annotations

from topics import touchpoints
from topics.subscriptions import FACT
from topics.touchpoints import Touchpoint

KINDS: dict[str, Touchpoint] = {**touchpoints.BY_NAME, FACT.name: FACT}
