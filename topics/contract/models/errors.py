"""The error bodies: Increff's shape to a marketplace, the channel's shape to Increff (contract 0.3), and our own."""

from __future__ import annotations

from topics.schema_base import Body, Code, Flag


class IncreffError(Body):
    """The error to a marketplace, in Increff's shape; `code` is `BAD_DATA` for a body that does not validate."""

    code: Code
    message: str
    description: str | None = None


class ChannelError(Body):
    """The error to Increff, in the marketplace's shape; Increff shows `errorMessage` to the warehouse user."""

    hasError: Flag
    errorMessage: str


class Problem(Body):
    """The error of Sluice's own management API (RFC 9457, `application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
