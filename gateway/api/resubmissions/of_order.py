"""Refused deliveries of one order or return: which could be sent again, and sending them.

The order's list names them; their bodies are on deliveries.dead, each in the partition of its lane, at about the time
of its last attempt. The orders role decides about each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from gateway.api.dead_letters import DeadLetter, read
from gateway.api.handler import Act
from gateway.api.lane_decisions import place_of
from gateway.api.order_queries import KINDS, ON_ITS_WAY, Kind, OrderQueries, home_of
from gateway.api.resubmissions.asking import Asker, Operator
from gateway.api.steps.tokens import digest_of_all
from gateway.api.steps.two_steps import Preview, TwoSteps, changed
from gateway.api.waiting import patient, until_found, wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from gateway.kafka.commands import Commands
from topics.api.actions import PreviewGroup, PreviewSample
from topics.api.resubmissions import OrderResubmission, RefusedOfOrder, ResubmittedDocument
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.definition import Mode
from topics.contract.touchpoints import BY_NAME

ACTION = "resubmit"
FAR_SIDE = "A new request in place of each that it refused, with a new id and as the order decides now."
BODY_BYTES_MAX = 128 << 10
"""Most bytes of a body: as many ids of deliveries as it may name, each of the largest length."""
EARLIER_MS = 60_000
"""How far the clocks of workers may differ from the broker's before a letter is missed."""
SEARCH_S = 10.0
"""How long the letters of one order are looked for."""
NOT_KEPT = (
    "its body is not kept: it was refused more than 90 days ago, or before this version. The marketplace may repeat "
    "its call: a Create is sent again after `resubmit_after_s` of the channel"
)
ITS_CALLERS = "its caller got the refusal, and asks the far side again with a repeat"


class OrderResubmissions:
    def __init__(
        self, settings: Settings, channels: Channels, dependencies: Dependencies, commands: Commands, steps: TwoSteps
    ) -> None:
        self._steps = steps
        self._partitions = settings.partitions
        self._channels = channels
        self._dead = dependencies.dead
        self._queries = OrderQueries(channels, commands)
        self._asker = Asker(commands)
        self._bodies = BodyReader(BODY_BYTES_MAX)

    def acts(self) -> dict[str, Act]:
        """The handlers of the resubmissions of one order or return, by the names of their routes."""
        acts: dict[str, Act] = {}
        for kind in KINDS:
            acts[f"preview-resubmit-{kind.name}"] = partial(self._preview, kind)
            acts[f"resubmit-{kind.name}"] = partial(self._resubmit, kind)
        return acts

    async def _preview(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        asked = validated(RefusedOfOrder, parse(raw) if raw else {})
        channel, document = await self._queries.document(kind, call, request)
        refused = self._refused(document, asked, call.subject)
        operator = Operator(call.actor, call.address, "a preview")
        found = await self._each(kind, call, channel, refused, operator, dry=True)
        possible = [one for one in found if one.outcome == "would be sent"]
        samples = [_sample_of(one, channel.name) for one in (*possible, *(one for one in found if one not in possible))]
        counts = Counter(f"{one.touchpoint}: {one.refusal}" for one in possible)
        preview = Preview(
            action=ACTION,
            place=place_of(request),
            asked=asked.model_dump(mode="json", exclude_defaults=True),
            digest=digest_of_all(one.id for one in possible),
            count=len(possible),
            is_possible=bool(possible),
            groups=[PreviewGroup(name=name, count=count) for name, count in counts.most_common()],
            samples=samples,
            left=len(found) - len(possible),
            far_side=FAR_SIDE,
        )
        return self._steps.offer(call, preview)

    async def _resubmit(self, kind: Kind, call: Call, request: web.Request) -> Answer:
        wait_s = wait_of(request)
        taken = await self._steps.take(call, request, ACTION, place_of(request))
        asked = RefusedOfOrder.model_validate(taken.token.asked)
        channel, document = await self._queries.document(kind, call, request)
        refused = self._refused(document, asked, call.subject)
        found = await self._each(kind, call, channel, refused, Operator(call.actor, call.address, "a look"), dry=True)
        possible = [one.id for one in found if one.outcome == "would be sent"]
        if digest_of_all(possible) != taken.token.digest:
            raise changed(f"{len(possible)} would be sent now, or others than the {taken.token.count} that were shown")
        operator = Operator(call.actor, call.address, taken.reason)
        key = kind.key(channel.name, call.subject).decode()
        await self._steps.begin(
            taken, target=call.subject, channel=channel.name, order_key=key, after={"deliveries": possible}
        )
        async with self._steps.carrying_out(taken) as after:
            meant = [one for one in refused if one["id"] in possible]
            done = await self._each(kind, call, channel, meant, operator, dry=False)
            after["deliveries"] = {one.id: one.newId or one.outcome for one in done}
        if wait_s:
            done = await self._with_states(kind, call, request, done, wait_s)
        result = OrderResubmission(code=call.subject, channel=channel.name, deliveries=done)
        return json_answer(result.model_dump(mode="json"))

    @staticmethod
    def _refused(document: Mapping[str, Any], asked: RefusedOfOrder, code: str) -> list[Mapping[str, Any]]:
        """The order's deliveries that were refused and are chosen. Raises Refused where there is none."""
        refused = [one for one in document.get("deliveries", ()) if _is_chosen(one, asked)]
        if not refused:
            raise Refused(409, "NOTHING_REFUSED", *_nothing(document, code))
        return refused

    async def _each(
        self,
        kind: Kind,
        call: Call,
        channel: Channel,
        refused: list[Mapping[str, Any]],
        operator: Operator,
        *,
        dry: bool,
    ) -> list[ResubmittedDocument]:
        """The outcome of each refused delivery; `dry`: what it would be."""
        letters = await self._letters(kind.key(channel.name, call.subject), channel, refused)
        return [await self._one(one, letters, channel, operator, call.subject, dry=dry) for one in refused]

    async def _one(
        self,
        listed: Mapping[str, Any],
        letters: Mapping[str, DeadLetter],
        channel: Channel,
        operator: Operator,
        code: str,
        *,
        dry: bool,
    ) -> ResubmittedDocument:
        letter, touchpoint = letters.get(listed["id"]), BY_NAME.get(listed["touchpoint"])
        attempts = listed.get("attempts") or [{}]
        described = partial(
            ResubmittedDocument,
            code=code,
            id=listed["id"],
            touchpoint=listed["touchpoint"],
            destination=listed["destination"],
            refusedAtMs=attempts[-1].get("atMs"),
            refusal=listed.get("message") or f"HTTP {attempts[-1].get('status')}",
        )
        if touchpoint is not None and touchpoint.mode is Mode.RELAY:
            return described(outcome="not possible", message=ITS_CALLERS)
        if letter is None:
            return described(outcome="not possible", message=NOT_KEPT)
        asked = await self._asker.ask(letter, channel, operator, dry=dry)
        return described(outcome=asked.outcome, message=asked.message, newId=asked.new_id)

    async def _letters(
        self, entity: bytes, channel: Channel, refused: list[Mapping[str, Any]]
    ) -> dict[str, DeadLetter]:
        """The letters of these deliveries that are still kept, by their ids."""
        wanted: dict[int, dict[str, int]] = {}
        for one in refused:
            home = home_of(one["destination"], entity, self._channels, channel, self._partitions)
            attempts = one.get("attempts") or ()
            since_ms = attempts[-1]["atMs"] if attempts else one["createdMs"]
            wanted.setdefault(home, {})[one["id"]] = since_ms - EARLIER_MS
        found: dict[str, DeadLetter] = {}
        for partition, since in wanted.items():
            await self._search(partition, since, found)
        return found

    async def _search(self, partition: int, since: Mapping[str, int], found: dict[str, DeadLetter]) -> None:
        missing = set(since)
        async with self._dead.reading([partition]) as reading:
            reading.seek(await reading.offsets_at(min(since.values())))

            async def look() -> bool | None:
                for _partition, record in await reading.next():
                    letter = read(record)
                    if isinstance(letter, DeadLetter) and letter.request.id in since:
                        found[letter.request.id] = letter
                        missing.discard(letter.request.id)
                return True if not missing or reading.at_end else None

            await until_found(SEARCH_S, look, every_s=0)

    async def _with_states(
        self, kind: Kind, call: Call, request: web.Request, done: list[ResubmittedDocument], wait_s: int
    ) -> list[ResubmittedDocument]:
        """The same, with what has become of each that was sent, once all are answered or the time is over."""
        sent = {one.newId for one in done if one.newId is not None}
        known: dict[str | None, Mapping[str, Any]] = {}

        async def look() -> bool | None:
            _channel, document = await self._queries.document(kind, replace(call, positions=[]), request)
            known.update({one["id"]: one for one in document.get("deliveries", ()) if one["id"] in sent})
            return True if all(name in known and known[name]["status"] not in ON_ITS_WAY for name in sent) else None

        if sent:
            await until_found(wait_s, patient(look))
        return [_with_state(one, known[one.newId]) if one.newId in known else one for one in done]


def _sample_of(one: ResubmittedDocument, channel: str) -> PreviewSample:
    said = f"{one.refusal}: {one.outcome}"
    return PreviewSample(
        id=one.id,
        code=one.code,
        channel=channel,
        destination=one.destination,
        touchpoint=one.touchpoint,
        what=f"{said}, {one.message}" if one.message else said,
    )


def _is_chosen(delivery: Mapping[str, Any], asked: RefusedOfOrder) -> bool:
    return (
        delivery.get("status") == "refused"
        and asked.touchpoint in {None, delivery.get("touchpoint")}
        and (not asked.deliveries or delivery.get("id") in asked.deliveries)
    )


def _nothing(document: Mapping[str, Any], code: str) -> tuple[str, str]:
    """Message and hint for an order that has no refused delivery of this choice."""
    counts: dict[str, int] = {}
    for one in document.get("deliveries", ()):
        counts[str(one.get("status"))] = counts.get(str(one.get("status")), 0) + 1
    known = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"
    hint = f"it is {document.get('state')}, its deliveries: {known}"
    if counts.get("dead"):
        hint += f"; `sluice redrive --order {code}` sends those again that were given up"
    return f"{code} has no refused delivery, or none that was chosen", hint


def _with_state(one: ResubmittedDocument, new: Mapping[str, Any]) -> ResubmittedDocument:
    """The same, with what has become of the delivery that took its place, and why where that is no success."""
    why = "" if new["status"] == "delivered" else new.get("message") or ""
    return one.model_copy(update={"state": str(new["status"]), "message": one.message or why})
