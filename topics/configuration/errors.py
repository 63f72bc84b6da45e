"""What is wrong with a configuration, in words for its author."""

from __future__ import annotations

from typing import Any


class ConfigurationError(ValueError):
    """What is configured cannot be used; the message names the file or variable, the key and what was expected."""


def said(problem: Any) -> str:
    """What one of pydantic's problems says of a value."""
    if problem["type"] == "too_short":
        return "is empty"
    return str(problem["msg"]).removeprefix("Value error, ")
