"""schemas/facts says what is written, and a reader of the released schemas can go on reading."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from tests.support.orders import acknowledgement_body, handover_body, packed_story
from topics.documents import schemas
from topics.documents.compatibility import SchemaError, breaks
from topics.records.facts.catalogue import EVERY_FACT

ROOT = Path(__file__).parents[2] / schemas.DIRECTORY
NAME = "shipment-packed"

Schema = dict[str, Any]
Change = Callable[[Schema], object]


@cache
def now() -> dict[str, Schema]:
    """All schemas as they are written now: made once, as they do not change; to be copied by who changes one."""
    return schemas.render()


def test_the_schemas_that_are_committed_are_those_of_the_models() -> None:
    kept = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / schemas.PRESENT).glob("*.json")}
    written = {name: schemas.text(schema) for name, schema in now().items()}
    assert kept == written, "stale: run python -m topics.documents.schemas"


def test_no_reader_of_the_released_schemas_breaks() -> None:
    released = schemas.read(ROOT / schemas.RELEASED)
    assert released
    assert list(breaks(released, now())) == []


@pytest.mark.parametrize("name", EVERY_FACT)
def test_each_schema_is_one_and_names_no_host(name: str) -> None:
    schema = now()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sluice:fact:{name}:v1"


def test_facts_are_valid_under_the_released_schemas() -> None:
    story = packed_story()
    story.tell("acknowledgement", acknowledgement_body(location="AUH-ST-04"))
    story.tell("handover-notification", handover_body())
    released = schemas.read(ROOT / schemas.RELEASED)
    known = [fact for fact in story.facts if fact.name in released]
    assert {fact.name for fact in story.facts} - {fact.name for fact in known} == {"call-not-applied"}, "it is newer"
    for fact in known:
        Draft202012Validator(released[fact.name]).validate(orjson.loads(orjson.dumps(fact.data)))


def _properties(schema: Schema) -> Schema:
    properties: Schema = schema["properties"]
    return properties


def _line(schema: Schema) -> Schema:
    line: Schema = schema["$defs"]["LineUnits"]
    return line


def _add(schema: Schema, *, required: bool) -> None:
    _properties(schema)["boxes"] = {"type": "integer"}
    if required:
        schema["required"].append("boxes")


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}

ALLOWED: dict[str, Change] = {
    "nothing": lambda _schema: None,
    "an optional member more": lambda schema: _add(schema, required=False),
    "other words": lambda schema: schema.update(description="another", title="another"),
    "a known value more": lambda schema: _properties(schema)["state"]["x-known-values"].append("LOST"),
    "a definition of another name": lambda schema: (
        schema["$defs"].update(Units=schema["$defs"].pop("LineUnits")),
        _properties(schema)["lines"].update(items={"$ref": "#/$defs/Units"}),
    ),
}

REFUSED: dict[str, tuple[Change, str]] = {
    "a member gone": (lambda schema: _properties(schema).pop("shipmentCode"), ".shipmentCode: the member is gone"),
    "a member of a part gone": (
        lambda schema: _properties(_line(schema)).pop("packed"),
        ".lines[].packed: the member is gone",
    ),
    "a new member required": (lambda schema: _add(schema, required=True), ".boxes: a new member must be optional"),
    "required becomes optional": (lambda schema: schema["required"].remove("items"), ".items: was always there"),
    "optional becomes required": (lambda schema: schema["required"].append("extra"), ".extra: was optional"),
    "a type becomes nullable": (
        lambda schema: _properties(schema).update(orderCode=NULLABLE),
        ".orderCode: was one type, is string or null",
    ),
    "a nullable type becomes strict": (
        lambda schema: _properties(schema).update(shipmentCode={"type": "string"}),
        ".shipmentCode: was string or null, is one type",
    ),
    "a nullable type becomes another": (
        lambda schema: _properties(schema)["shipmentCode"]["anyOf"][0].update(type="integer"),
        ".shipmentCode: was string or null, is integer or null",
    ),
    "a wider type": (lambda schema: _properties(schema)["atMs"].update(type="number"), ".atMs: type was 'integer'"),
    "a stricter bound": (lambda schema: _properties(schema)["atMs"].update(minimum=9), ".atMs: minimum was 0, is 9"),
    "a laxer bound": (lambda schema: _properties(schema)["atMs"].pop("minimum"), ".atMs: minimum was 0, is absent"),
    "an enum value more": (
        lambda schema: _properties(schema)["kind"].update(enum=["a", "b", "c"]),
        ".kind: enum was ['a', 'b'], is ['a', 'b', 'c']",
    ),
    "an enum value less": (lambda schema: _properties(schema)["kind"].update(enum=["a"]), ".kind: enum was"),
    "a known value gone": (
        lambda schema: _properties(schema)["state"]["x-known-values"].remove("HELD"),
        ".state: known values are gone: HELD",
    ),
    "entries of another type": (
        lambda schema: _properties(schema).update(lines={"type": "array", "items": {"type": "string"}}),
        ".lines[]: type was 'object'",
    ),
    "values of a map of another type": (
        lambda schema: _properties(schema)["milestones"]["additionalProperties"].update(type="string"),
        ".milestones.*: type was 'integer'",
    ),
    "members closed": (lambda schema: schema.update(additionalProperties=False), ".*: additionalProperties was True"),
    "another identity": (lambda schema: schema.update({"$id": "urn:other"}), ": $id was"),
}


def _released() -> Schema:
    """A schema with an optional member and an enum besides."""
    schema = deepcopy(now()[NAME])
    _properties(schema).update(extra={"type": "string"}, kind={"type": "string", "enum": ["a", "b"]})
    return schema


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_readers_do_not_notice_is_allowed(change: Change) -> None:
    present = _released()
    change(present)
    assert list(breaks({NAME: _released()}, {NAME: present})) == []


@pytest.mark.parametrize(("change", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_a_reader_is_named(change: Change, named: str) -> None:
    present = _released()
    change(present)
    found = list(breaks({NAME: _released()}, {NAME: present}))
    assert any(line.startswith(NAME + named) for line in found), found


def test_a_fact_that_was_released_may_not_disappear() -> None:
    released = now()
    present = {name: schema for name, schema in released.items() if name != NAME}
    assert list(breaks(released, present)) == [f"{NAME}: a fact that was released may not disappear"]
    assert list(breaks(present, released)) == []


def test_what_the_rules_do_not_cover_is_an_error_not_a_pass() -> None:
    present = _released()
    present["patternProperties"] = {"x": {}}
    with pytest.raises(SchemaError, match="patternProperties"):
        list(breaks({NAME: _released()}, {NAME: present}))


def test_a_release_refuses_what_breaks_a_reader_and_writes_nothing(tmp_path: Path) -> None:
    assert schemas.release(tmp_path) == []
    assert set(schemas.read(tmp_path / schemas.RELEASED)) == set(EVERY_FACT)
    kept = tmp_path / schemas.RELEASED / f"{NAME}.json"
    older = _released()
    kept.write_text(schemas.text(older), encoding="utf-8")
    assert schemas.release(tmp_path)
    assert schemas.read(tmp_path / schemas.RELEASED)[NAME] == older
