"""What a former owner of a partition writes behind the new one is not taken for stock."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import TopicPartition

from topics.configuration.settings import load_settings
from topics.kafka.compacted_view import CompactedView


@dataclass
class Read:
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def made_by(epoch: int) -> tuple[tuple[str, bytes], ...]:
    return (("sluice-made-by", b"%d/7" % epoch),)


async def test_records_of_an_older_epoch_are_ignored_until_the_partition_is_read_anew() -> None:
    seen: list[tuple[int, bytes]] = []
    view = CompactedView(
        load_settings(kafka="nowhere:9"), "t", lambda p, _key, value: seen.append((p, value or b"")), lambda _: None
    )
    view._handle(
        {
            TopicPartition("t", 0): [
                Read(0, b"a", b"unmarked"),
                Read(1, b"a", b"first", made_by(1)),
                Read(2, b"a", b"second", made_by(2)),
                Read(3, b"a", b"stale", made_by(1)),
                Read(4, b"b", b"second too", made_by(2)),
                Read(5, b"~owner", b"the claim of a new owner, no value", made_by(3)),
                Read(6, b"b", b"stale behind the claim", made_by(2)),
            ],
            TopicPartition("t", 1): [Read(0, b"c", b"another partition", made_by(1))],
        }
    )
    view._handle({TopicPartition("t", 0): [Read(7, b"a", b"stale again", made_by(1))]})
    assert [value for partition, value in seen if partition == 0] == [b"unmarked", b"first", b"second", b"second too"]
    assert (1, b"another partition") in seen
