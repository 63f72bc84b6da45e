"""What the value of a record of stock says, read by the models. Pure: bytes in, values out, or Poison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from streams.runtime.role import Poison, Record
from topics.contract.models.inventory import ConsolidatedAtp, LocationWiseAtp, is_consolidated_body, split_valid
from topics.nesting import NESTING_MAX, is_too_deep
from topics.records.envelope import GATEWAY_SOURCE
from topics.schema_base import problems


@dataclass(frozen=True, slots=True)
class Read:
    """The SKUs of a batch to apply and those to set aside."""

    members: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)


NOTHING_READ = Read()


def members_of(record: Record) -> dict[str, Any]:
    try:
        members = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        raise Poison("bad_json", f"value is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise Poison("bad_data", "body: must be an object")
    if is_too_deep(record.value, members):
        raise Poison("too_deep", f"body: may nest at most {NESTING_MAX} levels deep")
    return members


def split_items(members: dict[str, Any], source: str) -> Read:
    """The gateway has validated its own records."""
    if source == GATEWAY_SOURCE:
        return Read(members, members["inventories"])
    try:
        items, failures = split_valid(members)
    except ValidationError as error:
        raise Poison("bad_data", "; ".join(problems(error))) from error
    if failures and not items:
        raise Poison("bad_data", faults_of(members))
    return Read(members, items, failures)


def faults_of(members: dict[str, Any]) -> str:
    try:
        (ConsolidatedAtp if is_consolidated_body(members) else LocationWiseAtp).model_validate(members)
    except ValidationError as error:
        return "; ".join(problems(error))
    return "no usable item"
