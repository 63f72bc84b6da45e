"""Errors of a configuration, in words for its author."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ConfigurationError(ValueError):
    """The configuration cannot be used. The message names the file or variable, the key and what was expected."""


def said(problem: Any) -> str:
    """The text of one of pydantic's problems with a value."""
    if problem["type"] == "too_short":
        return "is empty"
    return str(problem["msg"]).removeprefix("Value error, ")


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
