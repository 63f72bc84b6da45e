"""Values of the query string, within the bounds of their routes. Errors name the parameter that is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from gateway.http.answers import bad_data
from topics.api.query_parameters import NUMBER_MAX, QueryParameter

DIGITS_MAX = 16
"""Longer texts are not made numbers: no bound has so many digits."""


def number_of(request: web.Request, parameter: QueryParameter) -> int:
    """The whole number, or the default. Raises Refused."""
    text = request.query.get(parameter.name)
    if text is None:
        return int(parameter.default or 0)
    least, most = parameter.minimum or 0, parameter.maximum or NUMBER_MAX
    if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and least <= int(text) <= most:
        return int(text)
    raise bad_data(f"{parameter.name}: must be a whole number from {least} to {most}")


def flag_of(request: web.Request, parameter: QueryParameter) -> bool:
    """The truth value, or the default. Raises Refused."""
    text = request.query.get(parameter.name)
    if text is None:
        return bool(parameter.default)
    if text not in ("true", "false"):
        raise bad_data(f"{parameter.name}: must be true or false")
    return text == "true"


def text_of(request: web.Request, parameter: QueryParameter) -> str | None:
    """The text; None: it is not there, or empty. Raises Refused."""
    text = request.query.get(parameter.name)
    if not text:
        return None
    if "\x00" in text:
        raise bad_data(f"{parameter.name}: must not have the character NUL")
    if parameter.longest is not None and len(text) > parameter.longest:
        raise bad_data(f"{parameter.name}: must have at most {parameter.longest} characters")
    if parameter.words and text not in parameter.words:
        raise bad_data(f"{parameter.name}: must be one of {', '.join(parameter.words)}")
    return text


def check_query(request: web.Request, parameters: Iterable[QueryParameter]) -> None:
    """Raises Refused where a value is not as its parameter says, before the call has any effect."""
    if not request.query_string:
        return
    for parameter in parameters:
        if parameter.type == "integer":
            number_of(request, parameter)
        elif parameter.type == "boolean":
            flag_of(request, parameter)
        elif parameter.words or parameter.longest is not None:
            text_of(request, parameter)
