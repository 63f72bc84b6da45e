"""Whether an endpoint wants to be a subscriber: it is sent a random challenge, signed, and must send it back.

So nobody can point Sluice at a stranger's endpoint, and the operator sees at once whether address, certificate and
receiver work. A stranger could still answer 200 to everything; it would not know the challenge.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import aiohttp
import orjson

from topics.envelope import iso_time
from topics.webhooks.addresses import AddressGuard, EndpointError
from topics.webhooks.signatures import SigningKey, sign

EVENT = "subscription-verification"
TIMEOUT_S = 10.0
"""The operator waits for it. A receiver that needs longer would not keep up with facts."""
ANSWER_BYTES_MAX = 4096
"""The challenge is some 40 characters; nothing else is read."""
SAID_CHARS_MAX = 200


async def challenge_endpoint(
    session: aiohttp.ClientSession,
    guard: AddressGuard,
    *,
    url: str,
    subscription: str,
    keys: Sequence[SigningKey],
    delivery_id: str,
    challenge: str,
    now_ms: int,
    timeout_s: float = TIMEOUT_S,
) -> str | None:
    """None when the endpoint sent `challenge` back, else why it is not verified. `session`: a guarded one."""
    try:
        endpoint = guard.endpoint(url)
    except EndpointError as error:
        return str(error)
    data = {"subscription": subscription, "challenge": challenge}
    body = orjson.dumps({"type": EVENT, "timestamp": iso_time(now_ms), "data": data})
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": sign(keys, delivery_id, now_ms // 1000, body),
    }
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with session.post(
            endpoint, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            answer = await _start(response)
            return _judge(response.status, answer, challenge)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"not reached: {error}"[:SAID_CHARS_MAX]


def _judge(status: int, answer: bytes, challenge: str) -> str | None:
    if 300 <= status < 400:
        return f"it answered {status}: redirects are not followed, give the URL that it leads to"
    if not 200 <= status < 300:
        return f"it answered {status}: expected 2xx"
    wanted = 'expected {"challenge": "..."} with the challenge of data.challenge'
    if len(answer) > ANSWER_BYTES_MAX:
        return f"its answer is larger than {ANSWER_BYTES_MAX} bytes: {wanted}"
    try:
        given = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return f"its answer is not JSON: {wanted}"
    said = given.get("challenge") if isinstance(given, dict) else None
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), challenge.encode()):
        return f"its answer does not hold the challenge: {wanted}"
    return None


async def _start(response: aiohttp.ClientResponse) -> bytes:
    """The answer, or as much of it as shows that it is too long."""
    answer = bytearray()
    while len(answer) <= ANSWER_BYTES_MAX and (chunk := await response.content.read(ANSWER_BYTES_MAX + 1)):
        answer += chunk
    if len(answer) > ANSWER_BYTES_MAX:
        response.close()
    return bytes(answer)
