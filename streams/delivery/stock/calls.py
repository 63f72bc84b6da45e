"""PURE: how positions become a call of the contract, and what its answer says of each SKU (contract 12)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from topics.contract.answer_names import SKU_NAMES, CodeReader, is_nothing, members_named, other_failures, unwrapped
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.stock.positions import CONSOLIDATED, decode_positions, is_consolidated
from topics.values import Value

LOCATION_WISE = BY_NAME["location-wise-atp-inventory"]
CONSOLIDATED_ATP = BY_NAME["consolidated-atp-inventory"]

SUCCESS_LISTS = frozenset({"successlist", "sucesslist", "successskus", "successproducts", "successitems"})
FAILURE_LISTS = frozenset(
    {"failurelist", "failedlist", "faillist", "failureskus", "failedskus", "failureproducts", "failures"}
)
"""Plain names of the two lists. The contract has `successList`, which its sample of section 14 spells `sucessList`, and
`failureList`; its sibling calls have `successProducts` and `failureProducts` (contract 11)."""

_SUCCESSES = CodeReader(SKU_NAMES, taken=True)
_FAILURES = CodeReader(SKU_NAMES, taken=False)


def touchpoint_of(location: str) -> Touchpoint:
    return CONSOLIDATED_ATP if is_consolidated(location) else LOCATION_WISE


def call_body(location: str, positions: Iterable[bytes]) -> dict[str, Any]:
    """The members of the call that sends these positions of one location (or one consolidation type)."""
    inventories = decode_positions(positions)
    if is_consolidated(location):
        return {"consolidationType": location.removeprefix(CONSOLIDATED), "inventories": inventories}
    return {"locationCode": location, "inventories": inventories}


class StockAnswer(Value, frozen=True):
    """The meaning of a 2xx for the SKUs of its call. `failed`: those that it did not acknowledge; `in_doubt`: those of
    them that no list names, or both, or a sentence in passing, so the channel may have taken them. `fault`: nothing of
    the call is acknowledged."""

    failed: frozenset[str] | set[str] = frozenset()
    in_doubt: frozenset[str] | set[str] = frozenset()
    fault: str = ""


ALL_TAKEN = StockAnswer()


def read_answer(body: dict[str, Any] | None, skus: Collection[str]) -> StockAnswer:
    """Reads the answer to a call with these SKUs.

    A SKU named in `failureList` failed, even when it is in both lists. Where `successList` names any SKU, one that it
    leaves out was not acknowledged. Without lists (an empty body, or both empty) all succeeded. A list that is not
    empty and names nothing of what was sent acknowledges nothing.
    """
    others: list[Any] = []
    for members in unwrapped(body or {}):
        successes = [listed for listed in members_named(members, SUCCESS_LISTS) if not is_nothing(listed)]
        failures = [listed for listed in members_named(members, FAILURE_LISTS) if not is_nothing(listed)]
        if successes or failures:
            return _read_lists(successes, failures, skus)
        others += other_failures(members)
    if not others:
        return ALL_TAKEN
    return _read_lists([], others, skus)


def may_have_taken_some(status: int | None, body: dict[str, Any] | None) -> bool:
    """Whether a channel that refuses a call may have taken some of its SKUs: it says so, or refuses with a 2xx, as one
    does that means "not all"."""
    if status is not None and 200 <= status < 300:
        return True
    return any(
        not is_nothing(listed) for members in unwrapped(body or {}) for listed in members_named(members, SUCCESS_LISTS)
    )


def _read_lists(successes: list[Any], failures: list[Any], skus: Collection[str]) -> StockAnswer:
    failed, taken = _FAILURES.read(failures, skus), _SUCCESSES.read(successes, skus)
    for name, named in (("failureList", failed), ("successList", taken)):
        if not named.is_empty and not named.codes:
            return StockAnswer(fault=f"{name} is not empty, and names none of the SKUs that were sent")
    unclear = failed.guessed | (failed.codes & taken.codes)
    if taken.codes or failed.has_others:
        left_out = set(skus) - taken.codes - failed.codes
        return StockAnswer(failed.codes | left_out, left_out | unclear)
    return StockAnswer(failed.codes, unclear)
