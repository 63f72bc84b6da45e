"""A part of the gateway that ends by itself is never hidden: it is not ready, and the process ends with its error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.app import GatewayFailedError, until_stopped
from gateway.http.metrics import Metrics
from gateway.kafka.producer import SharedProducer
from gateway.kafka.replies import ReplyReader
from gateway.views.positions import StockView
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import CompactedView


class UnforeseenError(Exception):
    pass


async def broken(*_: Any) -> None:
    raise UnforeseenError("nobody thought of this")


async def ended(part: Any) -> None:
    """The error of the part's task reaches who waits, `unready` says so, and stopping it is still possible."""
    stopping = asyncio.Event()
    with pytest.raises(GatewayFailedError, match="nobody thought of this"):
        await until_stopped(stopping, [part.wait])
    assert "ended" in (part.unready() or "")


async def test_a_keeper_of_the_producer_that_dies_ends_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedProducer, "_connected", broken)
    producer = SharedProducer(Settings(), Metrics())
    producer.start()
    await ended(producer)
    await producer.stop()


async def test_a_reader_of_replies_that_dies_ends_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyReader, "_follow", broken)
    replies = ReplyReader(Settings(), Metrics())
    replies.start()
    await ended(replies)
    await replies.stop()


async def test_a_stock_view_that_dies_ends_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompactedView, "_follow", broken)
    stock = StockView(Settings())
    await stock.start()
    await ended(stock)
    with pytest.raises(UnforeseenError):
        await stock.stop()


async def test_a_gateway_that_is_told_to_stop_stops_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def follow(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ReplyReader, "_follow", follow)
    replies = ReplyReader(Settings(), Metrics())
    replies.start()
    stopping = asyncio.Event()
    stopping.set()
    await until_stopped(stopping, [replies.wait])
    await replies.stop()


def test_replies_are_counted_by_their_verdict() -> None:
    metrics = Metrics()
    for verdict in ("APPLIED", "APPLIED", "FAILED"):
        metrics.count_reply(verdict)
    assert b'sluice_gateway_replies_total{verdict="APPLIED"} 2.0' in metrics.text()
    assert b'sluice_gateway_replies_total{verdict="FAILED"} 1.0' in metrics.text()
