"""The meaning of a call's members: the same for any two ways to write the same thing.

Each member has a rule, found from its type in the touchpoint's model. A rule gives the meaning of a value, or None when
the value says no more than its absence: null, a default that is spelled out, an empty list or object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from operator import itemgetter
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
import orjson
from pydantic.fields import FieldInfo

from topics.contract.leniency import flag_of
from topics.contract.models.orders import (
    CreateOutwardOrder,
    GiftOptions,
    OrderItem,
    TaxBreakup,
    TaxItem,
    UpdateOrderProperties,
)
from topics.contract.models.returns import ReturnDetails, ReturnItem, UpdateReturns
from topics.schema_base import Body, CustomAttributes, Kind, Reading, models_in, time_of

Rule = Callable[[Any], Any]
Rules = Mapping[str, Rule]

DEFAULTS: Final[dict[type[Body], dict[str, Any]]] = {
    CreateOutwardOrder: {"isPriority": False, "gift": False, "isSplitRequired": False, "qcStatus": "PASS"},
    OrderItem: {"sellerDiscountPerUnit": 0, "channelDiscountPerUnit": 0, "shippingChargePerUnit": 0},
    GiftOptions: {"giftwrapRequired": False, "giftChargePerUnit": 0},
    ReturnItem: {"storeCreditsUsed": 0},
    ReturnDetails: {"isCod": False, "codValue": 0},
}
"""Meanings of members that are left out: what the contract says (`qcStatus`), a flag that is not set, a discount or
charge that is none. Any other member that is left out says something else than any of its values."""

KEYS: Final[dict[type[Body], str]] = {OrderItem: "orderItemCode", TaxBreakup: "channelSkuId", TaxItem: "type"}
"""Members by which the entries of an order's lists are sorted; others by their whole text, which takes longer."""

PARTIAL: Final = (UpdateOrderProperties, UpdateReturns)
"""Calls in which a member that is left out stays as it is: there an empty text is a word of its own."""

UNMODELLED: Final = {CustomAttributes: ("channelMetadata",)}
"""Members that the contract names in a table but leaves open, so that no model has them. They count all the same."""

STEP_ENTRIES = 250
"""Entries of a list whose meanings are found in one step: half a millisecond of the event loop."""
_EXACT = 2.0**53
"""Beyond this, a float is no exact whole number, and orjson writes integers of 64 bits at most."""


def meaning_of(model: type[Body], members: dict[str, Any]) -> dict[str, Any]:
    """The members that say something, each by its meaning. Members that no model knows do not count."""
    return _object(rules_of(model), members) or {}


def meaning_in_steps(model: type[Body], members: dict[str, Any]) -> Generator[None, None, dict[str, Any]]:
    """As `meaning_of`, in steps between which others may have the event loop."""
    rules = rules_of(model)
    long = {
        name: rule for name, rule in rules.items() if isinstance(rule, _ListRule) and rule.is_long(members.get(name))
    }
    meaning = _object(rules, {name: value for name, value in members.items() if name not in long}) or {}
    for name, rule in long.items():
        entries = yield from rule.in_steps(members[name])
        if entries is not None:
            meaning[name] = entries
    return meaning


def mean_the_same(model: type[Body], one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the members of two calls mean the same, perhaps in other words: a time in another offset."""
    return one == other or meaning_of(model, one) == meaning_of(model, other)


@cache
def rules_of(model: type[Body]) -> Rules:
    """The rule of each member that counts."""
    return _rules(model, partial_=model in PARTIAL)


def _rules(model: type[Body], *, partial_: bool) -> Rules:
    defaults = DEFAULTS.get(model, {})
    rules = {
        name: _with_default(_rule(info, partial_=partial_), defaults.get(name))
        for name, info in model.model_fields.items()
    }
    for base, names in UNMODELLED.items():
        if issubclass(model, base):
            rules.update(dict.fromkeys(names, _open))
    return rules


def _with_default(rule: Rule, default: Any) -> Rule:
    if default is None:
        return rule
    if rule is flag_of and default is False:
        return _set_flag
    return _charge if rule is _number and default == 0 else partial(_unless, rule, default)


def number(value: Any) -> Any:
    """A whole number as an int, so that 10 and 10.0 are the same."""
    if value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return float(value)


def _rule(info: FieldInfo, *, partial_: bool) -> Rule:
    leaves = _leaves(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)
    model = next(models_in(info.annotation), None)
    rule: Rule
    if model is not None:
        rules = _rules(model, partial_=partial_)
        rule = partial(_texts if set(rules.values()) == {_text} else _object, rules)
    elif bool in leaves:
        rule = flag_of
    elif int in leaves or float in leaves:
        rule = _number
    elif Reading(Kind.TIME) in leaves:
        rule = _time
    elif str in leaves:
        rule = _word if partial_ else _text
    else:
        rule = _open
    if list not in leaves:
        return rule
    return _ListRule(rule, KEYS.get(model, "") if model is not None else "")


def _leaves(annotation: Any) -> list[Any]:
    """The types that an annotation is made of, and what annotates them."""
    origin = get_origin(annotation)
    if origin is Literal:
        return [type(word) for word in get_args(annotation)]
    if origin not in (Annotated, Union, UnionType, list):
        return [annotation]
    own = [list] if origin is list else []
    return [*own, *(leaf for argument in get_args(annotation) for leaf in _leaves(argument))]


def _object(rules: Rules, value: Any) -> Any:
    """The members that say something. Those of the usual type are handled without a call: a Create has a hundred."""
    if type(value) is not dict:
        return _open(value)  # an empty list is how some languages write an empty object
    members: dict[str, Any] = {}
    find = rules.get
    for name, member in value.items():
        rule = find(name)
        if rule is None:
            continue
        kind = type(member)
        if kind is str:
            if rule is _text:
                if member:
                    members[name] = member
                continue
        elif kind is float:
            if rule is _number or rule is _charge:
                if member or rule is _number:
                    members[name] = int(member) if member.is_integer() and abs(member) < _EXACT else member
                continue
        elif kind is bool:
            if rule is _set_flag or rule is flag_of:
                if member or rule is flag_of:
                    members[name] = member
                continue
        elif member is None:
            continue
        meaning = rule(member)
        if meaning is not None:
            members[name] = meaning
    return members or None


def _texts(rules: Rules, value: Any) -> Any:
    """The members of an object that has nothing but texts: an address, of which a Create has two."""
    if type(value) is not dict:
        return _open(value)
    return {
        name: text
        for name, member in value.items()
        if name in rules and (text := member if type(member) is str else _text(member))
    } or None


class _ListRule:
    """Entries in an order of their own: in no list of the contract the order says something."""

    __slots__ = ("_key", "_rule")

    def __init__(self, rule: Rule, key: str) -> None:
        self._rule = rule
        self._key = key

    def __call__(self, value: Any) -> Any:
        return self._sorted(self._meanings(value)) if type(value) is list else _open(value)

    def is_long(self, value: Any) -> bool:
        return type(value) is list and len(value) > STEP_ENTRIES

    def in_steps(self, value: list[Any]) -> Generator[None, None, list[Any] | None]:
        entries: list[Any] = []
        for first in range(0, len(value), STEP_ENTRIES):
            entries += self._meanings(value[first : first + STEP_ENTRIES])
            yield
        return self._sorted(entries)

    def _meanings(self, value: list[Any]) -> list[Any]:
        return [meaning for meaning in map(self._rule, value) if meaning is not None]

    def _sorted(self, entries: list[Any]) -> list[Any] | None:
        if len(entries) > 1:
            _sort(entries, self._key)
        return entries or None


def _sort(entries: list[Any], key: str) -> None:
    """`key`: a member in which few entries are alike, so that the others need not be compared."""
    try:
        if len({entry[key] for entry in entries}) == len(entries):
            entries.sort(key=itemgetter(key))
            return
    except (TypeError, KeyError):
        pass  # not each entry has one
    lead = _lead(entries)
    entries.sort(key=written if lead is None else itemgetter(lead))


def _lead(entries: list[Any]) -> str | None:
    """The member by which entries have the same order as by their whole texts: the first of each text. None when there
    is none: then the texts have to be written, which takes longer."""
    if not all(type(entry) is dict and entry for entry in entries):
        return None
    (lead, *more) = {min(entry) for entry in entries}
    texts = [entry[lead] for entry in entries] if not more else []
    if not texts or not all(type(text) is str for text in texts) or len(set(texts)) != len(texts):
        return None
    return None if _BEFORE_THE_QUOTE.search("".join(texts)) else lead


_BEFORE_THE_QUOTE = re.compile(r'[\x00-"\\]')
"""Characters of a text that do not sort behind the quote at its end, or are written by two."""


def written(meaning: Any) -> bytes:
    """The one text of a meaning."""
    try:
        return orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits
        return msgspec.json.encode(meaning, order="sorted")


def _text(value: Any) -> Any:
    return _word(value) or None


def _word(value: Any) -> Any:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else _closed(value)


def _set_flag(value: Any) -> bool | None:
    """A flag that is not set where it is left out."""
    return flag_of(value) or None


def _unless(rule: Rule, default: Any, value: Any) -> Any:
    meaning = rule(value)
    return None if meaning == default else meaning


def _charge(value: Any) -> Any:
    """A discount or charge, none where it is left out."""
    return _number(value) or None


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return number(value)
    return _number_in(value) if type(value) is str else _closed(value)


def _number_in(text: str) -> Any:
    """The number in a text; a text that is none stays, because some members may be either."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return number(float(text))
    except ValueError:
        return text or None


def _time(value: Any) -> Any:
    """The instant, in UTC; of a time without an offset, the time as it is."""
    if type(value) is not str:
        return _closed(value)
    try:
        moment = time_of(value) if value[-1:] == "]" else datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # before the year 1, or behind 9999, in UTC
        return value or None


def _open(value: Any) -> Any:
    """A member that the contract leaves open: only null and ways to write a number do not count."""
    return _closed(value) if value not in ({}, [], "") else None


def _closed(value: Any) -> Any:
    if type(value) is dict:
        return {name: _closed(member) for name, member in value.items() if member is not None}
    if type(value) is list:
        return [_closed(item) for item in value]
    return number(value) if isinstance(value, float) else value
