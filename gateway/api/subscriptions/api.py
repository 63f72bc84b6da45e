"""/api/subscriptions: the subscribers that get facts over HTTP.

A subscription is one record of a compacted topic, and a call that changes one writes it anew. An answer means that the
record is durable, and that this gateway goes by it. Calls about the same subscription wait for each other here. If two
gateways change one at the same moment, the last record counts; a deleted one stays deleted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal
from weakref import WeakValueDictionary

from aiohttp import web

from gateway.api.handler import ID_CHARS, Act, channel_in_query, check_ready
from gateway.api.lane_decisions import FAR_SIDES, LaneDecisions, action_of, answer_of, place_of, sample_of
from gateway.api.read_your_writes import ReadYourWrites
from gateway.api.steps.tokens import digest_of
from gateway.api.steps.two_steps import Preview, TwoSteps
from gateway.api.subscriptions.rules import (
    NewSecret,
    changed,
    check_revision,
    document,
    entity_of,
    id_of,
    keys_of,
    lane_of,
    new_secret,
    new_subscription,
    next_revision,
    resealed,
    rotated,
    settings_of,
)
from gateway.api.waiting import until_found, wait_of
from gateway.dependencies import Dependencies
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.body import BodyReader, parse, validated
from gateway.http.call import Call
from gateway.kafka.commands import Commands
from gateway.ports import Outgoing
from topics.api.actions import PreviewGroup
from topics.api.subscribers import RotationAsked, SubscriptionAsked, SubscriptionMade
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.records.deliveries import LaneAction
from topics.records.keys import subscription_destination
from topics.subscriptions.model import Deleted, Subscription
from topics.webhooks.sealing import secret_box
from topics.webhooks.signatures import MADE_BYTES, Signature, SigningKey

BODY_BYTES_MAX = 64 << 10
"""Most bytes of a request: several times a subscription with the longest lists."""
SUBSCRIPTIONS_MAX = 10_000
"""Every process keeps all of them, and compares each kind of fact with each of them once."""
ID_BYTES = 10


class SubscriptionsApi:
    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        dependencies: Dependencies,
        commands: Commands,
        steps: TwoSteps,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._channels = channels.channels
        self._dependencies = dependencies
        self._writes = ReadYourWrites[str, Subscription | Deleted](dependencies.subscriptions, dependencies.producer)
        self._lanes = LaneDecisions(commands)
        self._steps = steps
        self._random = random
        self._partitions = settings.partitions
        self._box = secret_box(settings)
        self._bodies = BodyReader(BODY_BYTES_MAX)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/subscriptions, by the names of their routes."""
        of_one = {
            "change-subscription": self.change,
            "remove-subscription": self.remove,
            "verify-subscription": self.verify,
            "rotate-subscription-secret": self.rotate,
            "enable-subscription": self.enable,
            "disable-subscription": self.disable,
        }
        acts = {
            "list-subscriptions": self.list_all,
            "add-subscription": self.add,
            "get-subscription": self.show,
            "preview-decide-subscription-delivery": self.preview_decision,
            "decide-subscription-delivery": self.decide,
            **{name: self._one_at_a_time(act) for name, act in of_one.items()},
        }
        for name in ("change-subscription", "enable-subscription"):
            acts[name] = self._with_effect(acts[name])
        return {name: self._when_ready(act) for name, act in acts.items()}

    def _when_ready(self, act: Act) -> Act:
        async def when_ready(call: Call, request: web.Request) -> Answer:
            check_ready(self._dependencies.subscriptions.unready(), "The subscriptions are not read yet")
            return await act(call, request)

        return when_ready

    def _with_effect(self, act: Act) -> Act:
        """For calls after which something may leave: waits until it has, where the caller asks for that."""

        async def with_effect(call: Call, request: web.Request) -> Answer:
            wait_s = wait_of(request)
            answer = await act(call, request)
            if not wait_s:
                return answer
            name, revision = request.match_info["id"], answer.revision or 0

            async def look() -> Literal[True] | None:
                shards = self._dependencies.subscriptions.health(name).values()
                return True if any(one.revision >= revision for one in shards) else None

            tried = await until_found(wait_s, look) or False
            present = self._present(name)
            document = {**self._document(present), "tried": tried}
            return replace(json_answer(document), revision=present.revision)

        return with_effect

    def _one_at_a_time(self, act: Act) -> Act:
        """For calls that change the subscription in the path."""

        async def one_at_a_time(call: Call, request: web.Request) -> Answer:
            async with self._lock(call.subject):
                return await act(call, request)

        return one_at_a_time

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def list_all(self, _call: Call, _request: web.Request) -> Answer:
        every = sorted(self._dependencies.subscriptions.all().values(), key=lambda one: (one.created_ms, one.id))
        # A stranger's record may have any key, and there may be any number of them.
        unreadable = sorted(one for one in self._dependencies.subscriptions.unreadable if len(one) <= ID_CHARS)
        documents = [self._document(one) for one in every]
        return json_answer({"subscriptions": documents, "unreadable": unreadable[:SUBSCRIPTIONS_MAX]})

    async def show(self, _call: Call, request: web.Request) -> Answer:
        return self._answer(self._known(request))

    async def add(self, call: Call, request: web.Request) -> Answer:
        """The subscription is stored before its endpoint is challenged, so it can be found if the answer is lost."""
        wanted = settings_of(SubscriptionAsked, await self._members(request), self._channels)
        self._check_url(wanted.url)
        if len(self._dependencies.subscriptions.all()) >= SUBSCRIPTIONS_MAX:
            raise Refused(409, "TOO_MANY", f"There are {SUBSCRIPTIONS_MAX} subscriptions already")
        now_ms = self._dependencies.now_ms()
        call.subject = id_of(self._random(ID_BYTES))
        secret = new_secret(self._box, call.subject, wanted.signature, wanted.secret, self._random(MADE_BYTES), now_ms)
        subscription = new_subscription(wanted, call.subject, secret, now_ms)
        async with self._lock(call.subject):
            await self._write(subscription)
            not_verified = await self._challenge(subscription, [secret.key])
            if not_verified is None:
                # Read again: another gateway may have changed or deleted it during the challenge.
                present = self._present(subscription.id)
                if present.url == subscription.url:
                    present = next_revision(present, verified_ms=self._dependencies.now_ms())
                    await self._write(present)
                subscription = present
        return self._shown_once(subscription, secret, not_verified, 201)

    async def change(self, _call: Call, request: web.Request) -> Answer:
        members = await self._members(request)
        present = self._known(request)
        wanted = changed(present, members, self._channels)
        if wanted.url != present.url:
            self._check_url(wanted.url)
            await self._verified(wanted)
            wanted = changed(self._known(request), members, self._channels)  # see `add`
            wanted = wanted.model_copy(update={"verified_ms": self._dependencies.now_ms()})
        return await self._written(next_revision(wanted))

    async def remove(self, _call: Call, request: web.Request) -> Answer:
        """Also of one that cannot be read: nothing else ends it."""
        name = request.match_info["id"]
        if not self._is_unreadable(name):
            name = self._known(request).id
        await self._delete(name)
        return Answer(204)

    async def verify(self, _call: Call, request: web.Request) -> Answer:
        asked_of = self._known(request)
        await self._verified(asked_of)
        present = self._known(request)  # see `add`
        if present.url != asked_of.url:
            raise Refused(409, "CHANGED", "Its url was changed during the challenge", "verify it again")
        return await self._written(next_revision(present, verified_ms=self._dependencies.now_ms()))

    async def rotate(self, _call: Call, request: web.Request) -> Answer:
        raw = await self._bodies.read(request)
        present, now_ms = self._known(request), self._dependencies.now_ms()
        wanted = validated(RotationAsked, parse(raw) if raw else {})
        signature = Signature(wanted.signature or present.signature)
        secret = new_secret(self._box, present.id, signature, wanted.secret, self._random(MADE_BYTES), now_ms)
        subscription = next_revision(rotated(present, wanted, secret, now_ms))
        await self._write(subscription)
        return self._shown_once(subscription, secret, None, 200)

    async def enable(self, _call: Call, request: web.Request) -> Answer:
        return await self._written(next_revision(self._known(request), enabled=True))

    async def disable(self, _call: Call, request: web.Request) -> Answer:
        return await self._written(next_revision(self._known(request), enabled=False))

    async def preview_decision(self, call: Call, request: web.Request) -> Answer:
        """Show what a decision would do. Whether the fact holds its lane only the delivery role knows."""
        present, channel, _entity = self._meant(call, request)
        wanted, action = request.match_info["request"], request.match_info["action"]
        destination = subscription_destination(present.id)
        preview = Preview(
            action=action_of(request),
            place=place_of(request),
            digest=digest_of({}),
            count=1,
            is_possible=True,
            groups=[PreviewGroup(name=f"fact to {destination}", count=1)],
            samples=[sample_of({"id": wanted, "destination": destination}, call.subject, channel.name)],
            far_side=FAR_SIDES[LaneAction(action)],
            after={"action": action},
        )
        return self._steps.offer(call, preview)

    async def decide(self, call: Call, request: web.Request) -> Answer:
        """Store an operator's decision about a fact that was given up and blocks the lane of its order."""
        taken = await self._steps.take(call, request, action_of(request), place_of(request))
        present, channel, entity = self._meant(call, request)
        lane, partition = lane_of(present, entity, self._partitions)
        wait_s = wait_of(request)
        await self._steps.begin(
            taken,
            target=request.match_info["request"],
            channel=channel.name,
            order_key=entity.decode(),
            after={"action": request.match_info["action"]},
        )
        async with self._steps.carrying_out(taken) as after:
            decided = await self._lanes.decide(call, request, taken, lane, partition, wait_s)
            after["state"] = decided.state
        return answer_of(decided)

    def _meant(self, call: Call, request: web.Request) -> tuple[Subscription, Channel, bytes]:
        """The subscription, channel and entity that a decision is about. Raises Refused."""
        present = self._known(request)
        call.channel = channel_in_query(self._channels, request)
        entity, call.subject = entity_of(call.channel.name, request)
        return present, call.channel, entity

    def _known(self, request: web.Request) -> Subscription:
        """The subscription in the path. Raises Refused if the caller means another revision."""
        present = self._present(request.match_info["id"])
        if request.if_match is not None:
            check_revision(present, request.if_match)
        return present

    def _present(self, name: str) -> Subscription:
        """The subscription as this gateway wrote it last, or as the view has it. Raises Refused."""
        if self._is_unreadable(name):
            message = f"The record of subscription {name[:40]} cannot be read"
            hint = "ask a gateway of the version that wrote it, or remove it and add another (docs/unreadable.md)"
            raise Refused(409, "UNREADABLE", message, hint)
        found = self._writes.unseen(name) or self._dependencies.subscriptions.get(name)
        if found is None or isinstance(found, Deleted):
            raise _unknown(name)
        return found

    def _is_unreadable(self, name: str) -> bool:
        return self._writes.unseen(name) is None and name in self._dependencies.subscriptions.unreadable

    async def _members(self, request: web.Request) -> dict[str, Any]:
        return parse(await self._bodies.read(request))

    def _check_url(self, url: str) -> None:
        fault = self._dependencies.endpoints.fault(url)
        if fault is not None:
            raise Refused(400, "BAD_DATA", "Input validation failed", f"[url: {fault}]")

    async def _verified(self, subscription: Subscription) -> None:
        keys = keys_of(self._box, subscription, self._dependencies.now_ms())
        not_verified = await self._challenge(subscription, keys)
        if not_verified is not None:
            raise Refused(
                409, "NOT_VERIFIED", "The endpoint did not pass the challenge, and nothing was changed", not_verified
            )

    async def _challenge(self, subscription: Subscription, keys: list[SigningKey]) -> str | None:
        return await self._dependencies.endpoints.challenge(
            url=subscription.url,
            subscription=subscription.id,
            keys=keys,
            delivery_id=f"msg_{self._random(16).hex()}",
            challenge=self._random(24).hex(),
            now_ms=self._dependencies.now_ms(),
        )

    def _document(self, subscription: Subscription) -> dict[str, Any]:
        disabled = self._dependencies.subscriptions.disabled(subscription.id)
        health = self._dependencies.subscriptions.health(subscription.id)
        backlog = self._dependencies.subscriptions.backlog(subscription.id)
        return document(subscription, disabled, health, backlog, self._dependencies.now_ms()).model_dump(mode="json")

    def _shown_once(
        self, subscription: Subscription, secret: NewSecret, not_verified: str | None, status: int
    ) -> Answer:
        shown = SubscriptionMade(
            **self._document(subscription),
            secret=secret.secret,
            public_key=secret.public_key,
            not_verified=not_verified,
        )
        return replace(json_answer(shown.model_dump(mode="json"), status), revision=subscription.revision)

    async def _written(self, subscription: Subscription) -> Answer:
        await self._write(subscription)
        return self._answer(subscription)

    def _answer(self, subscription: Subscription) -> Answer:
        return replace(json_answer(self._document(subscription)), revision=subscription.revision)

    async def _write(self, subscription: Subscription) -> None:
        await self._put(resealed(self._box, subscription))
        if self._dependencies.subscriptions.is_deleted(subscription.id):
            # Deleted at another gateway before this was stored: the last record is kept, so it has to say that.
            await self._delete(subscription.id)
            raise _unknown(subscription.id)

    async def _delete(self, name: str) -> None:
        await self._put(Deleted(id=name, deleted_ms=self._dependencies.now_ms()))

    async def _put(self, record: Subscription | Deleted) -> None:
        """Returns when the record is on all in-sync replicas and this gateway goes by it."""
        outgoing = Outgoing("subscriptions", record.id.encode(), record.encode(), ())
        await self._writes.write(record.id, record, outgoing)


def _unknown(name: str) -> Refused:
    return Refused(404, "UNKNOWN", f"There is no subscription {name[:40]}")
