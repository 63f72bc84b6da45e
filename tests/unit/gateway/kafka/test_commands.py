"""The headers that the gateway writes are those of the envelope, which they are put together beside for speed."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from gateway.http.call import Call
from gateway.kafka.commands import Command, Commands
from tests.fakes.gateway import NOW_MS, FakeKafka, channels_with
from topics.records.envelope import GATEWAY_SOURCE, Envelope, Headers, parse
from topics.records.signing import Signer

KIND = "sluice.command.x"


def call_of(channel: str, subject: str) -> Call:
    channels = channels_with(second="web").channels
    return Call("x", time.perf_counter(), channels[channel], subject=subject)


def commands(kafka: FakeKafka) -> Commands:
    return Commands(
        kafka, kafka, lambda: NOW_MS, relay_deadline_s=35.0, signer=Signer([]), check_standstills=lambda _count: None
    )


def expected(call: Call) -> Envelope:
    channel = call.channel.name if call.channel else ""
    return Envelope(
        id=call.event, type=KIND, source=GATEWAY_SOURCE, channel=channel, subject=call.subject, time_ms=NOW_MS
    )


SAME_IN_ALL = ("ce_specversion", "content-type")
"""Headers that records between roles do not have."""


def check(headers: Headers, envelope: Envelope) -> None:
    assert parse(headers) == envelope
    assert sorted(headers) == sorted(header for header in envelope.headers() if header[0] not in SAME_IN_ALL)


@pytest.mark.parametrize("channel", ["demo", "web"])
@pytest.mark.parametrize("subject", ["", "O|é"])
async def test_headers_are_the_envelopes(channel: str, subject: str) -> None:
    kafka, call = FakeKafka(), call_of(channel, subject)
    await commands(kafka).execute(call, KIND, Command("A", b"k", b"{}"), 5.001)
    check(kafka.records[-1].headers, replace(expected(call), reply_partition=3, deadline_ms=NOW_MS + 5_001))
    await commands(kafka).store(call, KIND, "deliveries.requests", b"k", b"{}", 1)
    check(kafka.records[-1].headers, expected(call))


async def test_headers_of_a_batch_are_the_envelopes() -> None:
    kafka, call = FakeKafka(), call_of("demo", "A")
    await commands(kafka).execute_batch(call, KIND, [Command("A", b"a", b"{}"), Command("B", b"b", b"{}")], 0)
    for index, (record, subject) in enumerate(zip(kafka.records, "AB", strict=True)):
        of_part = replace(expected(call), id=f"{call.event}-{index}", subject=subject, batch_id=call.event)
        check(record.headers, replace(of_part, reply_partition=3, deadline_ms=NOW_MS))
