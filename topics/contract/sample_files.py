"""The samples: one JSON file for each touchpoint, a request and its answer as they travel at Sluice."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson

DIRECTORY = "samples"


class SampleError(ValueError):
    """A sample is missing or has another shape; the message names the file and what was expected."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`path` and `query` hold the members that travel there; `body` is None where the call or answer has none."""

    path: dict[str, Any]
    query: dict[str, Any]
    body: dict[str, Any] | None
    status: int
    answer: Any

    @property
    def members(self) -> dict[str, Any]:
        """All members together, as on a topic."""
        return {**self.query, **(self.body or {}), **self.path}


def sample(name: str) -> Sample:
    """A copy of the sample of a touchpoint, the caller's to change. Raises SampleError."""
    return deepcopy(_read(name))


def names() -> list[str]:
    """The names of all sample files, whether or not a touchpoint has that name."""
    files = resources.files("topics.contract").joinpath(DIRECTORY).iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


@cache
def _read(name: str) -> Sample:
    file = resources.files("topics.contract").joinpath(DIRECTORY, f"{name}.json")
    try:
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise SampleError(f"samples/{name}.json does not exist") from error
    return parse(name, raw)


def parse(name: str, raw: bytes) -> Sample:
    """Raises SampleError naming what a sample must have."""
    try:
        data = orjson.loads(raw)
        request, response = data["request"], data["response"]
        found = Sample(request["path"], request["query"], request["body"], response["status"], response["body"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SampleError(f"samples/{name}.json: expected request.path/query/body, response.status/body") from error
    if not isinstance(found.path, dict) or not isinstance(found.query, dict):
        raise SampleError(f"samples/{name}.json: request.path and request.query must be objects")
    return found
