"""KINDS: what a request may be, by the name it carries: a call of the contract, or a fact for a subscriber."""

from __future__ import annotations

from topics.contract import touchpoints
from topics.contract.touchpoints import Touchpoint
from topics.subscriptions.model import FACT

KINDS: dict[str, Touchpoint] = {**touchpoints.BY_NAME, FACT.name: FACT}
