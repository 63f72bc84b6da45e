"""Filters that the lists have in common: names that must be known, times, and the keys of an order's code."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from typing import Any, Final

from aiohttp import web

from gateway.api.handler import channel_named
from gateway.api.journal.frame import filters_of
from gateway.http.answers import bad_data
from gateway.http.call import Call
from topics.api.query_parameters import QueryParameter
from topics.configuration.channels import Channel
from topics.records.keys import INCREFF, channel_destination, manifest_key, order_key, return_key, subscription_of
from topics.schema_base import time_of
from topics.subscriptions.model import KINDS

NAMED_MAX: Final = 20
"""Known names that an error lists."""


def list_filters(
    call: Call, request: web.Request, parameters: Iterable[QueryParameter], channels: Mapping[str, Channel]
) -> tuple[dict[str, Any], list[str]]:
    """The filters that were given, times as `since_ms` and `until_ms`; and the keys that an order's code may have,
    empty: none was given. A name that nothing has is refused: an empty list would look like good news. Raises
    Refused."""
    found = filters_of(request, parameters)
    if "channel" in found:
        call.channel = channel_named(channels, found["channel"])
    if "destination" in found:
        check_destination(found["destination"], channels)
    if "touchpoint" in found and found["touchpoint"] not in KINDS:
        raise bad_data(f"touchpoint: there is no such call{_like(found['touchpoint'], KINDS)}")
    for name in ("since", "until"):
        if name in found:
            found[f"{name}_ms"] = _epoch_ms(name, found.pop(name))
    code = found.pop("order", None)
    if code is None:
        return found, []
    call.subject = code
    names = [found["channel"]] if "channel" in found else sorted(channels)
    kinds = (order_key, return_key, manifest_key)
    return found, [key(name, code).decode() for name in names for key in kinds]


def check_destination(name: str, channels: Mapping[str, Channel]) -> None:
    """Raises Refused where no far side has this name and it is no subscription's."""
    known = [INCREFF, *map(channel_destination, channels)]
    if name not in known and subscription_of(name) is None:
        listed = ", ".join(known[:NAMED_MAX])
        raise bad_data(
            f"destination: there is no such destination{_like(name, known)}; name one of {listed}, subscription:ID"
        )


def _like(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, known, 1)
    return f", did you mean {found[0]}?" if found else ""


def _epoch_ms(name: str, text: str) -> int:
    try:
        at = time_of(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise bad_data(f"{name}: must be a time, as 2026-11-25T08:00:00Z") from None
