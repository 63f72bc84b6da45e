"""Calls to endpoints of subscribers, through the guarded client. Implements gateway.ports.Endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from topics.configuration.settings import Settings
from topics.webhooks.addresses import EndpointError
from topics.webhooks.challenge import challenge_endpoint
from topics.webhooks.client import WebhookClient
from topics.webhooks.dialling import guard_of
from topics.webhooks.signatures import SigningKey


class GuardedEndpoints:
    def __init__(self, settings: Settings) -> None:
        self._client = WebhookClient(guard_of(settings))

    def fault(self, url: str) -> str | None:
        try:
            self._client.endpoint(url)
        except EndpointError as error:
            return str(error)
        return None

    async def challenge(
        self, *, url: str, subscription: str, keys: Sequence[SigningKey], delivery_id: str, challenge: str, now_ms: int
    ) -> str | None:
        return await challenge_endpoint(
            self._client,
            url=url,
            subscription=subscription,
            keys=keys,
            delivery_id=delivery_id,
            challenge=challenge,
            now_ms=now_ms,
        )

    async def stop(self) -> None:
        await self._client.stop()
