"""The two steps of operators' actions, and their facts.

A preview stores nothing. The action is carried out in this sequence, of which a gateway may die at any place:

1. The fact that it begins is on all in-sync replicas. Of two uses of one token the first in the log is carried out:
   whoever writes reads the log back up to its own fact.
2. The action takes effect.
3. The fact of its end follows. An action whose gateway died has none, and is previewed again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from gateway.api.steps.tokens import PreviewTokens, Token, TokenError
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from gateway.ports import Clock, Log, Outgoing, Overloaded, Producer, Unavailable
from topics.api.actions import SAMPLES_MAX, TOKEN_CHARS_MAX, Act, PreviewDocument, PreviewGroup, PreviewSample
from topics.configuration.api_tokens import load_api_tokens
from topics.configuration.settings import Settings
from topics.records.actions import BEGUN, TOPIC, record_of
from topics.records.envelope import GATEWAY_SOURCE
from topics.records.facts.operators import ActionBegun, ActionEnded, OperatorFact

BODY_BYTES_MAX: Final = TOKEN_CHARS_MAX + (16 << 10)
ID_BYTES: Final = 6
CLOCKS_MS: Final = 60_000
"""How far the clocks of gateways and brokers may differ before a first use of a token is missed."""
READ_S: Final = 10.0
"""How long the log of actions may take to be read back: it has some records an hour."""
_PREFIXES: Final = {
    "redrive": "rdv",
    "resubmit": "rso",
    "resubmit-many": "rsb",
    "retry-delivery": "ret",
    "skip-delivery": "skd",
    "pause-destination": "pau",
    "resume-destination": "res",
}

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Preview:
    """The effect that an action would have. `digest`: of what is shown; `place`, `asked`: see Token. Without
    `is_possible` there is nothing to do, and no token."""

    action: str
    digest: str
    count: int
    far_side: str
    place: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[PreviewGroup] = ()
    samples: Sequence[PreviewSample] = ()
    left: int = 0
    more: bool = False
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    is_possible: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A token that came back, with the reason. `by`: its operator."""

    token: Token
    reason: str
    by: str

    @property
    def id(self) -> str:
        return self.token.id


class TwoSteps:
    """Makes previews, takes their tokens and writes the facts of actions."""

    def __init__(self, settings: Settings, producer: Producer, actions: Log, now_ms: Clock) -> None:
        self._producer = producer
        self._actions = actions
        self._now_ms = now_ms
        self._lasts_ms = round(settings.preview_s * 1000)
        self._tokens = PreviewTokens(settings.secret_keys or _keys_of_api(settings))
        self._bodies = BodyReader(BODY_BYTES_MAX)

    def offer(self, call: Call, preview: Preview) -> Answer:
        """The answer to a preview."""
        now_ms = self._now_ms()
        token = until_ms = None
        if preview.is_possible:
            prefix = _PREFIXES.get(preview.action, preview.action[:3])
            until_ms = now_ms + self._lasts_ms
            token = self._tokens.sign(
                Token(
                    id=f"{prefix}_{os.urandom(ID_BYTES).hex()}",
                    action=preview.action,
                    by=call.actor,
                    place=dict(preview.place),
                    asked=dict(preview.asked),
                    digest=preview.digest,
                    count=preview.count,
                    made_ms=now_ms,
                    ends={str(partition): end for partition, end in preview.ends.items()},
                )
            )
        document = PreviewDocument(
            action=preview.action,
            count=preview.count,
            groups=list(preview.groups),
            samples=list(preview.samples[:SAMPLES_MAX]),
            left=preview.left,
            more=preview.more,
            farSide=preview.far_side,
            before=dict(preview.before),
            after=dict(preview.after),
            token=token,
            untilMs=until_ms,
        )
        return json_answer(document.model_dump(mode="json"))

    async def take(self, call: Call, request: web.Request, action: str, place: Mapping[str, str]) -> Taken:
        """The token and reason in a call's body. Raises Refused for a token that is not this operator's, or of another
        action, or too old."""
        act = validated(Act, parse(await self._bodies.read(request)))
        try:
            token = self._tokens.read(act.token)
        except TokenError as error:
            raise bad_data(f"token: {error}") from error
        if token.by != call.actor:
            raise Refused(403, "NOT_YOURS", "This preview is another operator's", f"it was made by {token.by}")
        if token.action != action or token.place != place:
            where = ", ".join((token.action, *token.place.values()))
            raise bad_data(f"token: it is of another action: {where}")
        if self._now_ms() >= token.made_ms + self._lasts_ms:
            said = f"a preview holds for {self._lasts_ms // 1000} s (SLUICE_PREVIEW_S): preview again"
            raise Refused(410, "EXPIRED", "This preview is too old", said)
        return Taken(token, act.reason.strip(), call.actor)

    async def begin(
        self,
        taken: Taken,
        *,
        target: str = "",
        channel: str = "",
        order_key: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Returns when the fact is on all in-sync replicas, and is the first of its action. Raises Refused where the
        token was used before, and as the producer does."""
        token = taken.token
        fact = ActionBegun(
            id=token.id,
            action=token.action,
            by=taken.by,
            atMs=self._now_ms(),
            reason=taken.reason,
            target=target,
            channel=channel,
            orderKey=order_key,
            shown=token.count,
            before=dict(before or {}),
            after=dict(after if after is not None else token.asked),
        )
        event = await self._write(fact)
        if await self._first_of(token) != event:
            raise Refused(409, "USED", "This preview was acted on already", f"see action {token.id}, or preview again")

    async def end(
        self, taken: Taken, outcome: str = "done", message: str = "", after: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the end of an action, if Kafka takes it: what was done is done."""
        token = taken.token
        fact = ActionEnded(
            id=token.id,
            action=token.action,
            by=taken.by,
            atMs=self._now_ms(),
            outcome=outcome,
            message=message,
            after=dict(after or {}),
        )
        try:
            await self._write(fact)
        except (Unavailable, Overloaded) as error:
            log.warning("the end of action %s is not told, because Kafka did not take it: %s", token.id, error)

    @asynccontextmanager
    async def carrying_out(self, taken: Taken) -> AsyncIterator[dict[str, Any]]:
        """Writes the end of an action that the caller's block carries out; the block may put the state after it into
        the dictionary. What it raises is the end, too."""
        after: dict[str, Any] = {}
        try:
            yield after
        except Refused as error:
            await self.end(taken, "refused" if error.status < 500 else "failed", error.text, after)
            raise
        except Exception as error:
            await self.end(taken, "failed", str(error) or type(error).__name__, after)
            raise
        await self.end(taken, "done", "", after)

    async def _write(self, fact: OperatorFact) -> str:
        """The ce_id of the record."""
        record = record_of(fact, GATEWAY_SOURCE)
        await self._producer.produce(Outgoing(TOPIC, record.key, record.value, record.headers, 0))
        return record.event

    async def _first_of(self, token: Token) -> str:
        """The ce_id of the first fact that this action begins. Raises Unavailable."""
        name, kind = token.id.encode(), BEGUN.encode()
        try:
            async with asyncio.timeout(READ_S), self._actions.reading([0]) as reading:
                reading.seek(await reading.offsets_at(token.made_ms - CLOCKS_MS))
                while True:
                    for _partition, record in await reading.next():
                        headers = dict(record.headers)
                        if record.key == name and headers.get("ce_type") == kind:
                            return (headers.get("ce_id") or b"").decode()
                    if reading.at_end:
                        raise Unavailable(f"{TOPIC}: the fact that was written is not there")
        except TimeoutError as error:
            raise Unavailable(f"{TOPIC} cannot be read in time") from error


def changed(what: str) -> Refused:
    """The refusal of an action whose preview shows what is not so any more."""
    return Refused(
        409, "CHANGED", "What the preview showed has changed, and nothing was done", f"{what}: preview again"
    )


def _keys_of_api(settings: Settings) -> tuple[bytes, ...]:
    """Without a secret key, tokens are signed under the tokens of /api, which all gateways have, too."""
    tokens = load_api_tokens(settings)
    return ("\n".join(f"{name}={token}" for name, token in sorted(tokens.items())).encode(),) if tokens else ()
