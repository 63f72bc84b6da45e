"""PURE: a record of stock is read: bytes in, items out, or Poison.

Nearly all stock is location-wise SKUs with a quantity and nothing more. Such a batch is parsed and checked in one pass
(`read_quantities`); whatever differs in any way is read by the models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from pydantic import ValidationError

from streams.runtime.role import Poison, Record
from topics.contract.models.inventory import ConsolidatedAtp, LocationWiseAtp, is_consolidated_body, split_valid
from topics.contract.models.plain_stock import LocationCode, PlainQuantity
from topics.records.json_text import JsonTextError, read
from topics.records.shape import NESTING_MAX, is_too_deep
from topics.schema_base import SKUS_MAX, problems
from topics.stock.positions import consolidated_location


class QuantityItem(PlainQuantity):
    """An item whose only value is its quantity; the other members may be there as null."""

    channelSerialNo: None = None  # noqa: N815 - the contract's spelling
    minExpiry: None = None  # noqa: N815


Items = Annotated[list[QuantityItem], msgspec.Meta(max_length=SKUS_MAX)]


class QuantityBatch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As topics.contract.models.inventory.LocationWiseAtp, of a batch that has only these members."""

    locationCode: LocationCode  # noqa: N815 - the contract's spelling
    inventories: Items


_decode = msgspec.json.Decoder(QuantityBatch).decode


def read_quantities(raw: bytes) -> QuantityBatch | None:
    """A batch of quantities, valid in all of them; None: the models must read it."""
    try:
        return _decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Batch:
    """The SKUs of a batch to apply, and those to set aside."""

    members: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)
    """Items to set aside, as the answer to a batch has them."""
    names: list[str] = field(default_factory=list)
    """The same by SKU, or by place where there is none."""
    refused: list[str] = field(default_factory=list)
    """SKUs among these."""


NO_BATCH = Batch()


def members_of(record: Record) -> dict[str, Any]:
    try:
        members = read(record.value)
    except JsonTextError as error:
        raise Poison("bad_json", f"value is not JSON: {error}") from error
    if not isinstance(members, dict):
        if members == []:
            return {}  # as PHP writes an object without members
        raise Poison("bad_data", "body: must be an object")
    if is_too_deep(record.value, members):
        raise Poison("too_deep", f"body: may nest at most {NESTING_MAX} levels deep")
    return members


def split_items(members: dict[str, Any]) -> Batch:
    """Separates the usable items. Stock is always validated, whoever says to have written it."""
    try:
        batch = Batch(*split_valid(members))
    except ValidationError as error:
        raise Poison("bad_data", "; ".join(problems(error))) from error
    if batch.failures and not batch.items:
        raise Poison("bad_data", faults_of(batch.members))
    return batch


def faults_of(members: dict[str, Any]) -> str:
    try:
        (ConsolidatedAtp if is_consolidated_body(members) else LocationWiseAtp).model_validate(members)
    except ValidationError as error:
        return "; ".join(problems(error))
    return "no usable item"


def location_of(members: dict[str, Any]) -> str:
    """The location a batch is about; of the consolidated form the pseudo-location of its consolidation type."""
    if is_consolidated_body(members):
        return consolidated_location(members["consolidationType"])
    location: str = members["locationCode"]
    return location
