"""A stock batch on its way to `inventory.updates`: what of it is valid, its key, the partition that owns it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from gateway.answers import bad_data
from topics.configuration import Channel
from topics.keys import channel_destination, destination_partition, shard_of, stock_key
from topics.models.base import problems
from topics.models.inventory import split_valid
from topics.positions import consolidated_location
from topics.touchpoints import Touchpoint

CONSOLIDATED = "consolidated-atp-inventory"


@dataclass(frozen=True, slots=True)
class StockBatch:
    """`value` is None when no SKU of the batch is valid. Both lists are the answer's (contract 12)."""

    location: str
    key: bytes
    partition: int
    value: bytes | None
    successes: list[Any]
    failures: list[Any]


def split_stock(touchpoint: Touchpoint, channel: Channel, members: dict[str, Any], partitions: int) -> StockBatch:
    """Raises Refused when the batch as a whole is unusable."""
    consolidated = touchpoint.name == CONSOLIDATED
    if not consolidated:
        # The form of a batch shows by this member further on; here the path has already said which one it is.
        members.pop("consolidationType", None)
    elif "consolidationType" not in members:
        raise bad_data("consolidationType: may not be null")
    try:
        valid, failures = split_valid(members)
    except ValidationError as error:
        raise bad_data(*problems(error)) from error
    location = consolidated_location(members["consolidationType"]) if consolidated else members["locationCode"]
    key = stock_key(channel.name, location)
    shard = shard_of(key, channel.marketplace.shards)
    partition = destination_partition(channel_destination(channel.name), shard, partitions)
    value = orjson.dumps({**members, "inventories": valid}) if valid else None
    successes: list[Any] = valid if consolidated else [item["channelSkuCode"] for item in valid]
    return StockBatch(location, key, partition, value, successes, failures)
