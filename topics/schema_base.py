"""Base of all models: strict where the contract has limits, lenient where it is open (contract 0.3, 19.4).

The types below judge a member in the form in which Sluice reads it. Other forms that mean the same, as `"2"` for 2, are
turned into it before (topics/contract/leniency.py), by the kind that is noted at each type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, core_schema

TEXT_MAX = 255
"""Any string field of the contract: at most 255 characters (contract 0.3)."""
CODE_MAX = TEXT_MAX
TIME_MAX = 96
"""A time with nine digits of a second and the longest name of a zone has 69."""
URL_MAX = 2_048
"""Links are longer than codes: browsers and servers commonly accept that much in one URL."""
DOCUMENT_MAX = 3 << 20
"""A PDF in base64: it must fit the record limit together with the request around it."""
ITEMS_MAX = 2_500
"""Order items of one order (contract 0.6)."""
SKUS_MAX = 200
"""SKUs of one stock batch (contract 0.6)."""
VALUES_MAX = 120_000
"""Values of one body: objects, lists, texts, numbers, `true`, `false` and `null`. The contract's largest order, 2,500
lines with every member and two taxes for each, has 100,052. So many values of a 4 MiB body take 32 MB at most: texts 16
MB (four bytes for a character if one of a text is beyond the basic plane), the others 130 bytes each."""
BATCH_MAX = 1_000
"""Orders or shipments in one Acknowledgement, Manifest or Handover: the contract names no limit; this bounds a call."""
PROBLEMS_MAX = 10
"""Faults named in one error: enough to mend a body, without an answer as long as the body."""


class Body(BaseModel):
    """A request or response. Models only judge: unknown members pass (contract 0.3); the caller's own are forwarded."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


def models_in(annotation: Any) -> Iterator[type[Body]]:
    """The models that an annotation is made of, as `X` of `list[X] | None`. Not those inside of these."""
    if isinstance(annotation, type) and issubclass(annotation, Body):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


_ZONED = re.compile(r"(.*T.*(?:Z|[+-][0-9]{2}(?::?[0-9]{2}){0,2}))\[[A-Za-z][A-Za-z0-9~/._+:-]*\]", re.ASCII)


def time_of(text: str) -> datetime:
    """The time that an ISO-8601 text says, with an offset, `Z` or neither. After an offset or `Z` it may name a zone in
    brackets, as Java prints it (`+05:30[Asia/Kolkata]`, `Z[UTC]`): the offset counts. Raises ValueError."""
    zoned = _ZONED.fullmatch(text) if text.endswith("]") else None
    return datetime.fromisoformat(text if zoned is None else zoned[1])


def is_iso_time(text: str) -> bool:
    """Whether `time_of` can read it."""
    try:
        time_of(text)
    except ValueError:
        return False
    return True


def _iso_time(text: str) -> str:
    if not is_iso_time(text):
        raise ValueError("must be an ISO-8601 date or time")
    return text


class Kind(StrEnum):
    """The kinds of members, by which other forms of a value are read (docs/values.md)."""

    FLAG = "flag"
    COUNT = "count"
    AMOUNT = "amount"
    TEXT = "text"
    CODE = "code"
    TIME = "time"
    CHOICE = "choice"


_FLAG_TEXT = "[Tt]rue|TRUE|[Ff]alse|FALSE"
_COUNT_TEXT = "[+-]?[0-9]+"
_AMOUNT_TEXT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
TEXTS = {Kind.FLAG: _FLAG_TEXT, Kind.COUNT: _COUNT_TEXT, Kind.AMOUNT: _AMOUNT_TEXT}
"""The texts that are read as a flag, a count or an amount, as regular expressions."""
_TAKEN: dict[Kind, list[str]] = {
    Kind.FLAG: ["boolean", "integer", "string"],
    Kind.COUNT: ["integer", "string"],
    Kind.AMOUNT: ["number", "string"],
    Kind.TEXT: ["string", "number", "boolean"],
    Kind.CODE: ["string", "number", "boolean"],
}
"""JSON types that a member of a kind may have; of other kinds that of its own type. Keywords of a schema count for the
type that they are about alone, so a bound of a number says nothing about a text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The kind by which a member's other forms are read. Costs nothing where a body is validated."""

    kind: Kind

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Adds what else is taken to the schema of what is read; the schema of what is written has the type alone."""
        made = handler(schema)
        if handler.mode != "validation" or self.kind not in _TAKEN:
            return made
        made = {**made, "type": _TAKEN[self.kind]}
        if self.kind in TEXTS:
            made["pattern"] = rf"^\s*({TEXTS[self.kind]})\s*$"
        return made


class _NotJudged:
    """Any value passes: the far side judges it. The schema says what the contract has there."""

    def __get_pydantic_core_schema__(self, source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def schema_of(_schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
            made = handler(TypeAdapter(source).core_schema)
            alternatives = made.get("anyOf") or [made]
            return {"anyOf": [*alternatives, {"description": "Any other value is passed on as it came"}]}

        return core_schema.any_schema(metadata={"pydantic_js_functions": [schema_of]})


T = TypeVar("T")
NotJudged = Annotated[T, _NotJudged()]
"""An optional member that Sluice passes on from Increff to a marketplace, and that no key, quantity or state depends
on. Sluice does not judge it: a parcel would wait in the warehouse for a member that only the marketplace needs."""

Text = Annotated[str, Field(max_length=TEXT_MAX), Reading(Kind.TEXT)]
Code = Annotated[str, Field(min_length=1, max_length=CODE_MAX), Reading(Kind.CODE)]
Url = Annotated[str, Field(max_length=URL_MAX), Reading(Kind.TEXT)]
Document = Annotated[str, Field(max_length=DOCUMENT_MAX), Reading(Kind.TEXT)]
ISO_TIME = AfterValidator(_iso_time)
Time = Annotated[str, Field(min_length=1, max_length=TIME_MAX), ISO_TIME, Reading(Kind.TIME)]
Flag = Annotated[StrictBool, Reading(Kind.FLAG)]
Count = Annotated[StrictInt, Field(ge=0, le=2**31 - 1), Reading(Kind.COUNT)]
PositiveCount = Annotated[StrictInt, Field(gt=0, le=2**31 - 1), Reading(Kind.COUNT)]
Long = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1), Reading(Kind.COUNT)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False), Reading(Kind.AMOUNT)]


class Address(Body):
    """Members seen so far are optional (contract 1)."""

    name: Text | None = None
    line1: Text | None = None
    line2: Text | None = None
    line3: Text | None = None
    city: Text | None = None
    state: Text | None = None
    zip: Text | None = None
    country: Text | None = None
    email: Text | None = None
    phone: Text | None = None


class CustomAttributes(Body):
    """`attribute1` to `attribute10` and `channelMetadata` (contract 0.6)."""

    attribute1: Text | None = None
    attribute2: Text | None = None
    attribute3: Text | None = None
    attribute4: Text | None = None
    attribute5: Text | None = None
    attribute6: Text | None = None
    attribute7: Text | None = None
    attribute8: Text | None = None
    attribute9: Text | None = None
    attribute10: Text | None = None
    currency: Text | None = None


@dataclass(frozen=True, slots=True)
class Spellings:
    """Accepted spellings of members, and of members in one list, with the spelling of the contract's sample."""

    members: dict[str, str] = field(default_factory=dict)
    list_name: str = ""
    in_list: dict[str, str] = field(default_factory=dict)


SPELLINGS: dict[str, Spellings] = {
    "cancel-return-order-items": Spellings(
        members={"returnLineItems": "returnOrderItems"},
        list_name="returnOrderItems",
        in_list={"channelReturnItemCode": "returnOrderItemCode"},
    ),
    "create-manifest": Spellings(list_name="manifestItems", in_list={"packBoxDetailsList": "packboxDetailsList"}),
    "handover-notification": Spellings(
        list_name="handoverItems",
        in_list={"shipmenCode": "shipmentCode", "packboxDetailsList": "packBoxDetailsList"},
    ),
    "search-inventory-marketplace": Spellings(members={"sucessList": "successList"}),
}
"""By touchpoint (contract 19.4), for requests and answers; and names that Sluice's earlier versions had."""


def canonical(touchpoint: str, members: dict[str, Any]) -> dict[str, Any]:
    """The members in one spelling. Returns `members` itself when nothing is misspelt."""
    spellings = SPELLINGS.get(touchpoint)
    if spellings is None:
        return members
    if spellings.members.keys() & members.keys():
        members = _respelt(members, spellings.members)
    items = members.get(spellings.list_name)
    misspelt = spellings.in_list.keys()
    if not isinstance(items, list) or not any(isinstance(item, dict) and misspelt & item.keys() for item in items):
        return members
    respelt = [_respelt(item, spellings.in_list) if isinstance(item, dict) else item for item in items]
    return {**members, spellings.list_name: respelt}


def _respelt(item: dict[str, Any], spellings: dict[str, str]) -> dict[str, Any]:
    """A right spelling that is present wins over a misspelt twin."""
    return {
        spellings.get(name, name): value
        for name, value in item.items()
        if spellings.get(name, name) == name or spellings[name] not in item
    }


_MESSAGES = {
    "missing": "may not be null",
    "string_too_short": "may not be empty",
    "string_too_long": "may have at most {max_length} characters",
    "too_long": "may have at most {max_length} entries",
    "too_short": "must have at least {min_length} entry",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "has not the form that is expected",
}


_UNION_MEMBERS = frozenset({"int", "str", "float", "bool"})
"""pydantic names the alternative that failed; no member of the contract has such a name."""


def problems(error: ValidationError) -> list[str]:
    """One text per field, `orderItems[0].channelSkuCode: may not be null`; never a value of the body."""
    texts: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=True):
        where = _where(problem["loc"])
        # Several for one field are the alternatives of a union: the first is the contract's.
        texts.setdefault(where or str(problem["msg"]), _problem(where, problem))
    named = list(texts.values())
    if len(named) > PROBLEMS_MAX:
        named = [*named[:PROBLEMS_MAX], f"and {len(named) - PROBLEMS_MAX} more"]
    return named


def in_words(problem: ErrorDetails) -> str:
    """Says what is expected, without the place and the value."""
    template = _MESSAGES.get(problem["type"])
    return template.format(**problem.get("ctx", {})) if template else problem["msg"].removeprefix("Value error, ")


def _where(loc: tuple[int | str, ...]) -> str:
    where = ""
    for part in loc:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part.isidentifier() and part not in _UNION_MEMBERS:
            where += f".{part}" if where else part
    return where


def _problem(where: str, problem: ErrorDetails) -> str:
    is_rule = problem["type"] == "value_error"
    if problem["input"] is None and not is_rule:
        return f"{where or 'body'}: may not be null"
    text = in_words(problem)
    if problem["type"].startswith("int_") and isinstance(problem["input"], str) and "." in problem["input"]:
        text += "; as text it has digits only, without a fraction"
    # A rule over several members names its member itself.
    return text if is_rule and not where else f"{where or 'body'}: {text}"
