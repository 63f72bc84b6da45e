"""Errors of a configuration, in words for its author."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from topics.schema_base import in_words

_WITH_VALUE = frozenset(
    {
        *("int_parsing", "int_from_float", "float_parsing", "bool_parsing", "literal_error"),
        *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
    }
)
"""Problems whose text names the value: of numbers, flags and words of a list, which are never secret."""


ADMIN_PORT_CHOSEN_BY = "--admin-port or SLUICE_ADMIN_PORT (the address: --admin-host or SLUICE_ADMIN_HOST)"


class ConfigurationError(ValueError):
    """The configuration cannot be used. The message names the file or variable, the key and what was expected."""


def said(problem: Any) -> str:
    """The text of one of pydantic's problems with a value."""
    if problem["type"] == "too_short":
        return "is empty"
    if problem["type"] == "extra_forbidden":
        return "is not a setting"
    if problem["type"] == "string_pattern_mismatch":
        return f"must match the pattern {problem['ctx']['pattern']}"
    expected = in_words(problem)
    return f"{expected}, not {problem['input']!r}" if problem["type"] in _WITH_VALUE else expected


@contextmanager
def listening(host: str, port: int, chosen_by: str) -> Iterator[None]:
    """Raises ConfigurationError where a server cannot listen. `chosen_by`: the option and the variable of its port."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} is in use by another program: end it, or choose another port with {chosen_by}"
        else:
            why = f"cannot listen on {host}, port {port} ({error.strerror or error}): choose another with {chosen_by}"
        raise ConfigurationError(why) from error
