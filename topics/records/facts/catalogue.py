"""Every fact by name: FACTS on `orders.events`, SUBSCRIPTION_FACTS on `subscriptions.events`, STOCK_FACTS on
`inventory.events`, OPERATOR_FACTS on `operators.events`.

A fact is here when its model is in one of the modules below; a test walks what the orders role emits and finds each.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ValidationError

from topics.records.facts import operators, orders, returns, stock, subscriptions
from topics.records.facts.base import Fact, Part
from topics.records.json_text import read, write

FactT = TypeVar("FactT", bound=Part)


class FactError(ValueError):
    """A fact is not what its model says; the message names the fact and the member."""


def name_of(model: type[Part]) -> str:
    """OrderHandedOver -> order-handed-over."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", model.__name__).lower()


def _facts(base: type[FactT], *modules: ModuleType) -> dict[str, type[FactT]]:
    """The models of facts in these modules, in their order. Classes whose name ends in Fact are bases of others."""
    models = [model for module in modules for model in vars(module).values()]
    facts = [model for model in models if isinstance(model, type) and issubclass(model, base)]
    return {name_of(fact): fact for fact in facts if not fact.__name__.endswith("Fact")}


FACTS = _facts(Fact, orders, returns)
SUBSCRIPTION_FACTS = _facts(subscriptions.SubscriptionFact, subscriptions)
STOCK_FACTS = _facts(stock.StockFact, stock)
OPERATOR_FACTS = _facts(operators.OperatorFact, operators)
EVERY_FACT: dict[str, type[Part]] = {**FACTS, **SUBSCRIPTION_FACTS, **STOCK_FACTS, **OPERATOR_FACTS}


def check(name: str, data: Any) -> None:
    """Raises FactError unless the fact has exactly the members of its model."""
    model = EVERY_FACT.get(name)
    if model is None:
        raise FactError(f"{name}: not in topics/records/facts, where each fact has a model")
    written = read(write(data))
    try:
        known = model.model_validate(written, strict=True).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        raise FactError(f"{name}: {error}") from error
    if known != written:
        raise FactError(f"{name}: has members that its model does not have: {written} is read as {known}")
