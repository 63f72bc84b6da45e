"""Errors of a configuration, in words for its author."""

from __future__ import annotations

from typing import Any


class ConfigurationError(ValueError):
    """The configuration cannot be used. The message names the file or variable, the key and what was expected."""


def said(problem: Any) -> str:
    """The text of one of pydantic's problems with a value."""
    if problem["type"] == "too_short":
        return "is empty"
    return str(problem["msg"]).removeprefix("Value error, ")
