"""Verifies that an endpoint wants to be a subscriber: it gets a signed random challenge, and must send it back.

So nobody can point Sluice at a stranger's endpoint, and the operator sees at once whether address, certificate and
receiver work. An endpoint that answers 200 to everything does not pass.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import orjson

from topics.records.envelope import iso_time
from topics.records.json_text import JsonTextError, read
from topics.webhooks.addresses import EndpointError
from topics.webhooks.client import Response, WebhookClient
from topics.webhooks.signatures import SigningKey, signed_headers

EVENT = "subscription-verification"
TIMEOUT_S = 10.0
"""An operator waits meanwhile. A receiver that needs longer would not keep up with facts."""


async def challenge_endpoint(
    client: WebhookClient,
    *,
    url: str,
    subscription: str,
    keys: Sequence[SigningKey],
    delivery_id: str,
    challenge: str,
    now_ms: int,
    timeout_s: float = TIMEOUT_S,
) -> str | None:
    """None when the endpoint sent `challenge` back, else why it is not verified."""
    try:
        endpoint = client.endpoint(url)
    except EndpointError as error:
        return str(error)
    data = {"subscription": subscription, "challenge": challenge}
    body = orjson.dumps({"type": EVENT, "timestamp": iso_time(now_ms), "data": data})
    headers = signed_headers(keys, delivery_id, now_ms // 1000, body)
    response = await client.post(endpoint, headers, body, timeout_s)
    return _judge(response, challenge)


def _judge(response: Response, challenge: str) -> str | None:
    if response.status is None or response.error:
        return response.error
    if 300 <= response.status < 400:
        return f"it answered {response.status}: redirects are not followed, give the URL that it leads to"
    if not 200 <= response.status < 300:
        return f"it answered {response.status}: expected 2xx"
    wanted = 'expected {"challenge": "..."} with the challenge of data.challenge'
    try:
        given = read(response.body)
    except JsonTextError:
        return f"its answer is not JSON: {wanted}"
    said = given.get("challenge") if isinstance(given, dict) else None
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), challenge.encode()):
        return f"its answer does not hold the challenge: {wanted}"
    return None
