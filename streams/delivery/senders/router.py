"""Chooses the sender of a request: webhooks for a fact; else by channel and touchpoint, as channels.toml says.

Increff is always HTTP. Lanes, budgets, retries and the classification of answers are the same for all senders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from streams.delivery.ports import READ_BACK, Answer, Call, Clock, Sender
from streams.delivery.senders.builtin import BuiltinSender
from streams.delivery.senders.http import HttpSender
from streams.delivery.senders.kafka import KafkaSender
from streams.delivery.senders.webhook import WebhookSender
from topics.configuration.channels import Channels, FarSide
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings
from topics.records.keys import subscription_of
from topics.subscriptions.index import SubscriptionIndex


class SenderRouter(Sender):
    """Routes each request to one of the senders."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        *,
        subscriptions: SubscriptionIndex,
        clock: Clock,
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`crashed` is called when a sender cannot go on."""
        self._channels = channels
        self._subscribers = WebhookSender(settings, subscriptions, clock)
        self._senders: dict[FarSide, Sender] = {
            FarSide.HTTP: HttpSender(channels, clock=clock, reload=_reload(settings)),
            FarSide.KAFKA: KafkaSender(settings, channels, crashed),
            FarSide.SELF: BuiltinSender(),
        }

    async def start(self) -> None:
        for sender in self._all():
            await sender.start()

    def send(self, call: Call) -> Coroutine[Any, Any, Answer]:
        if subscription_of(call.destination) is not None:
            return self._subscribers.send(call)
        return self._send_to_far_side(call)

    async def _send_to_far_side(self, call: Call) -> Answer:
        far_side = self.far_side_of(call)
        return replace(await self._senders[far_side].send(call), far_side=far_side)

    async def reload(self) -> None:
        for sender in self._all():
            await sender.reload()

    async def stop(self) -> None:
        await asyncio.gather(*(sender.stop() for sender in self._all()))

    def unready(self) -> str | None:
        return next((said for sender in self._all() if (said := sender.unready()) is not None), None)

    def _all(self) -> tuple[Sender, ...]:
        return (*self._senders.values(), self._subscribers)

    def far_side_of(self, call: Call) -> FarSide:
        if call.touchpoint.far_side == "increff" or call.touchpoint.name == READ_BACK:
            return FarSide.HTTP
        return self._channels.channels[call.channel].far_side_of(call.touchpoint)


def _reload(settings: Settings) -> Callable[[], Channels] | None:
    """Reads channels.toml again; None without one."""
    path = settings.channels_file
    return None if path is None else lambda: load_channels(path)
