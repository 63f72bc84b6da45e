"""Records in a changelog that no role of Sluice wrote count nowhere, end nothing and are named; whose key it is, its
owner writes it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.runtime.durability.rebuild import Rebuild, recovered_offsets
from streams.runtime.tables.partition_table import MakeTable, PartitionState
from tests.fakes.runtime import TABLE_KINDS, Written, raw_record
from tests.unit.runtime.durability.test_late_writes import TOPIC, Bench, bench
from topics.records.reading import MADE_BY, OWNER_KEY
from topics.records.unreadable import UNREADABLE

FOREIGN: dict[str, Any] = {
    "no header": (),
    "a null": ((MADE_BY, None),),
    "no numbers": ((MADE_BY, b"\xff/x"),),
    "one number": ((MADE_BY, b"7"),),
    "more numbers than Python reads": ((MADE_BY, b"9" * 5_000 + b"/1"),),
    "an epoch that no JSON carries": ((MADE_BY, b"99999999999999999999/1"),),
    "an offset that no log has": ((MADE_BY, b"3/99999999999999999999"),),
    "a negative epoch": ((MADE_BY, b"-1/1"),),
    "another's header": (("ce_id", b"\xff"), ("", None)),
}

__all__ = ["bench"]


@pytest.mark.parametrize("kind", TABLE_KINDS)
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_table_is_rebuilt_as_if_it_were_not_there(kind: MakeTable, headers: Any) -> None:
    state = PartitionState(0, ["state"], kind)
    rebuild = Rebuild(state.all[0], TOPIC)
    rebuild.apply(
        [
            raw_record(0, b"claim", OWNER_KEY, ((MADE_BY, b"2/-1"),)),
            raw_record(1, b"1", b"c|l|a", ((MADE_BY, b"2/4"),)),
            *(raw_record(2 + n, b"foreign", key, headers) for n, key in enumerate((b"c|l|a", b"\xff\xfe", OWNER_KEY))),
            raw_record(5, b"2", b"c|l|b", ((MADE_BY, b"2/5"),)),
        ]
    )
    assert dict(state.tables["state"].items()) == {b"c|l|a": b"1", b"c|l|b": b"2"}
    assert (rebuild.epoch, recovered_offsets([rebuild])) == (2, (5, 5))
    assert state.all[0].overwritten == {b"c|l|a", b"\xff\xfe", OWNER_KEY}
    assert UNREADABLE.counted("state") == 3
    assert "last found in partition 0 offset 4" in UNREADABLE.warnings()[0]


def test_a_record_without_a_key_is_left_out() -> None:
    """Kafka refuses one on a compacted topic; one whose cleanup was changed later has it all the same."""
    state = PartitionState(0, ["state"])
    Rebuild(state.all[0], TOPIC).apply([replace(raw_record(0, b"x", b"k", ((MADE_BY, b"1/1"),)), key=None)])
    assert (dict(state.tables["state"].items()), UNREADABLE.counted("state")) == ({}, 1)


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_an_owner_that_finds_one_goes_on_and_writes_its_key_again(bench: Bench, headers: Any) -> None:
    bench.producer.log.append(Written(TOPIC, 0, b"c|l|a", b"foreign", headers))
    await bench.look()
    assert bench.failures == []
    last = bench.producer.topic("state")[-1]
    assert (last.key, last.value, last.headers) == (b"c|l|a", b"1", ((MADE_BY, b"5/1"),))
    assert UNREADABLE.counted("state") == 1
    assert b"sluice_runtime_records_late_total 0.0" in bench.metrics.text(), "it is no former owner's"
