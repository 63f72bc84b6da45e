"""A client for subscribers' endpoints, ended with its test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from topics.webhooks.addresses import AddressGuard
from topics.webhooks.client import WebhookClient
from topics.webhooks.dialling import Lookup


@asynccontextmanager
async def webhook_client(
    guard: AddressGuard, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[WebhookClient]:
    client = WebhookClient(guard, lookup, tls)
    try:
        yield client
    finally:
        await client.stop()
