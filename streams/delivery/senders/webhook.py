"""Sends a fact to its subscriber, once: a signed POST by Standard Webhooks 1.0.

The body of a delivery is the same in every attempt, byte for byte, and so is its `webhook-id`; time and signature are
those of the attempt. The common parts of a subscription's requests are made once, and kept until the subscription
changes or one of its secrets ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from streams.delivery.clock import NEVER
from streams.delivery.ports import Answer, Call, Clock, Sender, Withheld
from topics.configuration.settings import Settings
from topics.records.keys import split, subscription_of
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import SigningSecret, Subscription
from topics.traces.context import TRACEPARENT
from topics.webhooks.addresses import EndpointError
from topics.webhooks.client import Endpoint, WebhookClient
from topics.webhooks.dialling import guard_of
from topics.webhooks.sealing import SealError, secret_box
from topics.webhooks.signatures import SecretError, SigningKey, signed_headers, signing_key


@dataclass(frozen=True, slots=True)
class PreparedWebhook:
    """Common parts of the requests of one subscription. `until_ms`: when one of its secrets ends."""

    endpoint: Endpoint
    keys: Sequence[SigningKey]
    timeout_s: float
    until_ms: float


class WebhookSender(Sender):
    """Owns the connections to all subscribers."""

    def __init__(self, settings: Settings, subscriptions: SubscriptionIndex, clock: Clock) -> None:
        self._subscriptions = subscriptions
        self._clock = clock
        self._box = secret_box(settings)
        self._client = WebhookClient(guard_of(settings))
        self._prepared: dict[str, PreparedWebhook] = {}

    async def start(self) -> None:
        self._subscriptions.listeners.append(self._changed)

    async def stop(self) -> None:
        if self._changed in self._subscriptions.listeners:  # not where a signal came before the start
            self._subscriptions.listeners.remove(self._changed)
        await self._client.stop()

    async def send(self, call: Call) -> Answer:
        name = subscription_of(call.destination) or ""
        now_ms = self._clock.now_ms()
        prepared = self._prepared.get(name)
        if prepared is None or now_ms >= prepared.until_ms:
            subscription = self._subscriptions.get(name)
            if subscription is None:
                raise Withheld(f"there is no subscription {name} that can be read here")
            try:
                prepared = self._prepared[name] = self._prepare(subscription, now_ms)
            except (EndpointError, SealError, SecretError) as error:
                # Settings or the subscription must be mended. Until then the endpoint is neither blamed nor called.
                raise Withheld(str(error)) from error
        body = request_body(call)
        try:
            signed = signed_headers(prepared.keys, call.delivery_id, now_ms // 1000, body)
        except ValueError as error:
            return Answer(status=None, error=str(error), unsendable=True)
        headers = (
            f"{signed}sluice-sequence: {call.sequence}\r\n"
            f"sluice-previous-sequence: {call.previous_sequence}\r\nsluice-attempt: {call.attempt}\r\n"
        )
        if call.redrive:
            headers += f"sluice-redrive: {call.redrive}\r\n"
        if call.traceparent:
            headers += f"{TRACEPARENT}: {call.traceparent}\r\n"
        timeout_s = prepared.timeout_s if call.timeout_s is None else call.timeout_s
        reply = await self._client.post(prepared.endpoint, headers, body, timeout_s)
        return Answer(status=reply.status, headers=reply.headers, body=reply.body, error=reply.error)

    def _prepare(self, subscription: Subscription, now_ms: int) -> PreparedWebhook:
        live = subscription.live_secrets(now_ms)
        if not live:
            raise SecretError(f"every secret of {subscription.id} has ended: rotate it")
        return PreparedWebhook(
            endpoint=self._client.endpoint(subscription.url),
            keys=[self._key(subscription, secret) for secret in live],
            timeout_s=subscription.timeout_s,
            until_ms=min((secret.until_ms for secret in live if secret.until_ms is not None), default=NEVER),
        )

    def _key(self, subscription: Subscription, secret: SigningSecret) -> SigningKey:
        text = self._box.open(secret.sealed or secret.reference, subscription.id)
        try:
            return signing_key(text)
        except SecretError as error:
            raise SecretError(f"a secret of {subscription.id} cannot sign: {error}") from error

    def _changed(self, name: str) -> None:
        self._prepared.pop(name, None)


def request_body(call: Call) -> bytes:
    """The fact, and its place among those of its order for this subscriber."""
    delivery = {
        "order": split(call.entity.encode())[-1],
        "channel": call.channel,
        "sequence": call.sequence,
        "previousSequence": call.previous_sequence,
        "watermark": call.watermark,
    }
    members = call.text()
    more = b"," if len(members) > len(b"{}") else b""
    return b"".join((members[:-1], more, b'"delivery":', orjson.dumps(delivery), b"}"))
