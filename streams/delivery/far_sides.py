"""Which sender a request goes through: by its channel and touchpoint, as channels.toml says.

Increff is always HTTP. Everything around the sending (lanes, budgets, retries, what an answer means) knows no
difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from streams.delivery.http_sender import HttpSender
from streams.delivery.kafka_sender import KafkaSender
from streams.delivery.ports import Answer, Call, Sender
from streams.delivery.self_sender import SelfSender
from topics.configuration import Channels, FarSide, Settings, load_channels


class FarSides:
    """One sender for all, made of those that are needed."""

    def __init__(self, settings: Settings, channels: Channels, crashed: Callable[[BaseException], None]) -> None:
        """`crashed` hears of a sender that cannot go on."""
        self._channels = channels
        self._senders: dict[FarSide, Sender] = {
            FarSide.HTTP: HttpSender(channels, reload=_reload(settings)),
            FarSide.KAFKA: KafkaSender(settings, channels, crashed),
            FarSide.SELF: SelfSender(),
        }

    async def start(self) -> None:
        for sender in self._senders.values():
            await sender.start()

    async def send(self, call: Call) -> Answer:
        far_side = self.far_side_of(call)
        return replace(await self._senders[far_side].send(call), far_side=far_side)

    async def stop(self) -> None:
        await asyncio.gather(*(sender.stop() for sender in self._senders.values()))

    def unready(self) -> str | None:
        return next((said for sender in self._senders.values() if (said := sender.unready()) is not None), None)

    def far_side_of(self, call: Call) -> FarSide:
        if call.touchpoint.far_side == "increff":
            return FarSide.HTTP
        return self._channels.channels[call.channel].far_side_of(call.touchpoint)


def _reload(settings: Settings) -> Callable[[], Channels] | None:
    """How channels.toml is read again; None without one."""
    path = settings.channels_file
    return None if path is None else lambda: load_channels(path)
