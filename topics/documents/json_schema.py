"""What Sluice's generated documents have in common: the version, and the generator of JSON Schemas."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from pydantic.json_schema import GenerateJsonSchema


def version() -> str:
    """The version of the installed product."""
    return metadata.version("sluice-gateway")


class Untitled(GenerateJsonSchema):
    """Makes schemas without titles of members, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False
