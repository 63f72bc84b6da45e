"""The error bodies: Increff's shape to a marketplace, the channel's shape to Increff (contract 0.3), and our own."""

from __future__ import annotations

from topics.schema_base import Body, Code, Flag

ERROR_TEXT_MAX = 2_000
"""Texts of one error together: several named faults, not a second body."""


class IncreffError(Body):
    """What a marketplace gets, as if Sluice were Increff; `code` is `BAD_DATA` for what does not validate."""

    code: Code
    message: str
    description: str | None = None


class ChannelError(Body):
    """What Increff gets, as if Sluice were the marketplace; Increff shows `errorMessage` to the warehouse user."""

    hasError: Flag
    errorMessage: str


class Problem(Body):
    """Sluice's own management API answers with this (RFC 9457, `application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
