"""The far side `self`: Sluice answers its own requests by rule, at once."""

from __future__ import annotations

import orjson

from streams.delivery.ports import Answer, Call
from streams.delivery.senders.self_rules import answer


class SelfSender:
    """Never late, never away, and it keeps nothing: see streams/delivery/senders/self_rules.py."""

    async def start(self) -> None: ...

    async def send(self, call: Call) -> Answer:
        try:
            status, body = answer(call.touchpoint, call.channel, call.members or {})
        except (KeyError, TypeError, ValueError) as error:
            # What the orders role lets through has all that the rules need; a marketplace would refuse the rest, too.
            message = f"the request does not name what it is about: {type(error).__name__} {error}"
            return Answer(status=400, body=orjson.dumps({"hasError": True, "errorMessage": message}))
        return Answer(status=status, body=orjson.dumps(body))

    async def stop(self) -> None: ...

    def unready(self) -> str | None:
        return None
