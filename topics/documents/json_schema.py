"""The generator of the JSON Schemas in Sluice's documents."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from topics.contract.leniency import is_absent_when_empty


class Untitled(GenerateJsonSchema):
    """Leaves out the titles of members: pydantic's only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """An optional member says by an empty text, too, that it is absent (topics/contract/leniency.py)."""
        made = super().nullable_schema(schema)
        functions = schema["schema"].get("metadata", {}).get("pydantic_js_annotation_functions", ())
        readings = (getattr(function, "__self__", None) for function in functions)
        empty = any(is_absent_when_empty(one) for one in readings)
        if not empty or self.mode != "validation" or "anyOf" not in made:
            return made
        return {**made, "anyOf": [*made["anyOf"], {"const": ""}]}
