"""PURE: a stock batch for `inventory.updates`: its valid items, its key and the partition that owns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateway.http.answers import bad_data
from gateway.http.body import check_values, parse
from topics.configuration.channels import Channel
from topics.contract.definition import Touchpoint
from topics.contract.models.inventory import split_valid
from topics.contract.models.plain_stock import read_plain, read_plain_consolidated
from topics.records.json_text import write
from topics.records.keys import stock_key, stock_partition
from topics.schema_base import VALUES_MAX, problems
from topics.stock.positions import consolidated_location

CONSOLIDATED = "consolidated-atp-inventory"


@dataclass(frozen=True, slots=True)
class StockBatch:
    """A batch of any channel. `value`: of its record, None if no SKU is valid; `answer`: the lists of contract 12."""

    location: str
    value: bytes | None
    answer: bytes


def read_stock(touchpoint: Touchpoint, raw: bytes, values_max: int = VALUES_MAX) -> StockBatch:
    """Raises Refused when the batch as a whole is unusable."""
    check_values(raw, values_max)
    return plain(touchpoint, raw) or split(touchpoint, raw)


def stock_home(channel: Channel, location: str, partitions: int) -> tuple[bytes, int]:
    """The key of a location's stock, and the partition that owns it."""
    key = stock_key(channel.name, location)
    return key, stock_partition(channel.name, key, channel.marketplace.shards, partitions)


def plain(touchpoint: Touchpoint, raw: bytes) -> StockBatch | None:
    """A batch that is valid and needs no change: its record is the body as it came. None: `split` has to judge it."""
    if touchpoint.name == CONSOLIDATED:
        listings = read_plain_consolidated(raw)
        if listings is None or len({one.channelSkuCode for one in listings.inventories}) != len(listings.inventories):
            return None
        answer = b'{"successList":%b,"failureList":[]}' % listings.raw
        location = consolidated_location(listings.consolidationType)
        return StockBatch(location, raw if listings.inventories else None, answer)
    batch = read_plain(raw)
    if batch is None:
        return None
    skus = [item.channelSkuCode for item in batch.inventories]
    if len(set(skus)) != len(skus):
        return None
    return StockBatch(batch.locationCode, raw if skus else None, _answer(skus, []))


def split(touchpoint: Touchpoint, raw: bytes) -> StockBatch:
    """A batch judged SKU by SKU: some may fail, come twice, or print their quantity as a string. Raises Refused."""
    members = parse(raw, len(raw))  # its values were counted
    consolidated = touchpoint.name == CONSOLIDATED
    if not consolidated:
        # Readers of the record tell the two forms of a batch apart by this member; the path has said which one this is.
        members.pop("consolidationType", None)
    elif members.get("consolidationType") is None:
        raise bad_data("consolidationType: may not be null")
    try:
        members, valid, failures, _names, _refused = split_valid(members)
    except ValidationError as error:
        raise bad_data(*problems(error)) from error
    location = consolidated_location(members["consolidationType"]) if consolidated else members["locationCode"]
    value = write({**members, "inventories": valid}) if valid else None
    return StockBatch(
        location, value, _answer(valid if consolidated else [item["channelSkuCode"] for item in valid], failures)
    )


def _answer(successes: list[Any], failures: list[Any]) -> bytes:
    return write({"successList": successes, "failureList": failures})
