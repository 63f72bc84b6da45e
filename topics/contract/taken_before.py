"""Answers that say of a call that it was carried out before: its first answer was lost, and the call was repeated.

The contract promises success for a repeat (contract 0.3), but services behind it answer such a repeat with a 409, or a
400 that names what exists already. No list of Increff's messages is public, so these forms are the usual ones of such
services; `taken_before` of a destination replaces them for a touchpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

STATUS = re.compile(r"[1-5][0-9]{2}")
"""A form that is a status alone: whatever the answer says."""

_WORDS = "exists?|existing|present|created|received|placed|processed|submitted|registered|used"
_CREATED = (
    "409",
    rf"(?<!not )\balready\b.{{0,40}}\b({_WORDS})\b",
    r"\bexists already\b",
    r"\bduplicate (outward |return |forward )?order\b(?! ?(item|line))",
)
_CANCELLED = (r"\balready (been )?(fully |completely )?cancell?ed\b", r"\balready in (a |the )?cancell?ed\b")

TAKEN_BEFORE: dict[str, tuple[str, ...]] = {
    "create-outward-order": _CREATED,
    "create-return-order": _CREATED,
    "add-return-order-items": (r"(?<!not )\balready\b.{0,40}\b(exists?|existing|present|added)\b",),
    "customer-cancellation": _CANCELLED,
    "cancel-return-order-items": _CANCELLED,
    "seller-cancellation": _CANCELLED,
    "acknowledgement": (r"\balready (been )?(acknowledged|accepted|confirmed)\b",),
    "pack-order": (r"\balready (been )?packed\b", r"\bshipment\b.{0,40}\balready (exists|created|processed)\b"),
    "create-manifest": (r"\balready (been )?(manifested|closed)\b", r"\bmanifest\b.{0,40}\balready (exists|created)\b"),
    "handover-notification": (r"\balready (been )?(handed over|dispatched|shipped)\b",),
    "return-order-acknowledgement": (r"\balready (been )?(acknowledged|inspected|processed)\b",),
}
"""By touchpoint. A form is a status, or a regular expression that is searched for in the answer's words, whatever their
case. A status alone stands only where a 409 cannot mean another refusal: a cancellation is refused with it once goods
are packed. Calls without forms change nothing when they are repeated, or have no effect."""

_OF_ANOTHER_THING = (
    r"(items?|lines?|sku|serial|awb|tracking|invoice|customer|phone|email|coupon|barcode)\w*\b[^.;\n]{0,60}\balready\b"
)
ANOTHER_THING: dict[str, re.Pattern[str]] = dict.fromkeys(
    ("create-outward-order", "create-return-order"), re.compile(_OF_ANOTHER_THING, re.IGNORECASE)
)
"""Words of a refusal because something in the call exists, and not the order: the usual forms do not count then. An
order that was refused wrongly is revived by what Increff says of it; one that counts as taken wrongly is lost."""


def check_forms(forms: Mapping[str, tuple[str, ...]]) -> None:
    """Raises ValueError for a form that is no regular expression."""
    for touchpoint, texts in forms.items():
        for text in texts:
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"{touchpoint}: {text!r} is not a regular expression: {error}") from error


class TakenForms:
    """The forms of one destination."""

    def __init__(self, configured: Mapping[str, tuple[str, ...]]) -> None:
        """`configured`: those that replace the usual ones, by touchpoint."""
        self._unless = {name: pattern for name, pattern in ANOTHER_THING.items() if name not in configured}
        self._forms = {
            name: (
                frozenset(int(text) for text in texts if STATUS.fullmatch(text)),
                tuple(re.compile(text, re.IGNORECASE) for text in texts if not STATUS.fullmatch(text)),
            )
            for name, texts in (TAKEN_BEFORE | dict(configured)).items()
        }

    def are_said(self, touchpoint: str, status: int | None, words: str) -> bool:
        """Whether an answer says that the call was carried out before."""
        statuses, patterns = self._forms.get(touchpoint, (frozenset(), ()))
        # ORDER_ALREADY_EXISTS is words, too.
        texts = (words, words.replace("_", " "))
        unless = self._unless.get(touchpoint)
        if unless is not None and any(map(unless.search, texts)):
            return False
        return status in statuses or any(pattern.search(text) for pattern in patterns for text in texts)
