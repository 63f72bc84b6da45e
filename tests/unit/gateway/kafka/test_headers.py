"""The headers that the gateway writes are those of the envelope: what is kept ready for speed never differs from it."""

from __future__ import annotations

import pytest

from gateway.kafka.headers import command_headers
from topics.records.envelope import GATEWAY_SOURCE, Envelope, parse


@pytest.mark.parametrize("channel", ["demo", "web"])
@pytest.mark.parametrize("subject", ["", "O|é"])
@pytest.mark.parametrize(("partition", "deadline_ms"), [(None, None), (0, 0), (5, 1_750_000_005_001)])
@pytest.mark.parametrize("batch", ["", "b1"])
def test_command_headers_are_the_envelopes_headers(
    channel: str, subject: str, partition: int | None, deadline_ms: int | None, batch: str
) -> None:
    envelope = Envelope(
        id="e1",
        type="sluice.command.x",
        source=GATEWAY_SOURCE,
        channel=channel,
        subject=subject,
        time_ms=1_750_000_000_001,
        reply_partition=partition,
        deadline_ms=deadline_ms,
        batch_id=batch,
    )
    headers = command_headers(
        envelope.type, channel, envelope.id, subject, envelope.time_ms, partition, deadline_ms, batch
    )
    assert parse(headers) == envelope
    assert sorted(headers) == sorted(envelope.headers())
