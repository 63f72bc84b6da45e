"""Values of the query string. A value that cannot be used is refused by its name."""

from __future__ import annotations

from aiohttp import web

from gateway.http.answers import bad_data

DIGITS_MAX = 16
"""Longer texts are not made numbers of: no bound of ours has so many digits."""


def whole_number(request: web.Request, name: str, default: int, least: int, most: int = 1 << 53) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and least <= int(text) <= most):
        raise bad_data(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def flag(request: web.Request, name: str) -> bool:
    """False when it is not given."""
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise bad_data(f"{name}: must be true or false")
    return text == "true"
