"""Different parts never make one key, a key gives its parts back, and partitions are the Java client's."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from topics.records import keys

codes = st.text(alphabet=st.one_of(st.sampled_from("|%27C5~ "), st.characters(codec="utf-8")), max_size=20)
parts = st.lists(codes, min_size=1, max_size=4)


@given(parts)
def test_a_key_gives_its_parts_back(given_parts: list[str]) -> None:
    assert keys.split(keys.join(*given_parts)) == tuple(given_parts)


@given(parts, parts)
def test_different_parts_make_different_keys(one: list[str], other: list[str]) -> None:
    assert (keys.join(*one) == keys.join(*other)) == (one == other)


@given(codes, codes)
def test_a_return_or_manifest_is_never_an_order(channel: str, code: str) -> None:
    made = {keys.order_key(channel, code), keys.return_key(channel, code), keys.manifest_key(channel, code)}
    assert len(made) == 3
    assert keys.order_key(channel, f"return|{code}") not in made - {keys.order_key(channel, code)}


@given(codes, codes, codes)
def test_a_lane_names_its_destination_and_its_entity(destination: str, channel: str, code: str) -> None:
    entity = keys.order_key(channel, code)
    assert keys.split(keys.lane_key(destination, entity)) == (destination, entity.decode())


@given(st.binary(min_size=1, max_size=60), st.integers(1, 512))
def test_partitions_are_those_of_the_default_partitioner(key: bytes, partitions: int) -> None:
    everything = list(range(partitions))
    assert keys.partition_of(key, partitions) == DefaultPartitioner()(key, everything, everything)


JAVA = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
"""murmur2 as the Java client's own tests have it."""


@pytest.mark.parametrize(("key", "murmur2"), JAVA.items())
def test_partitions_are_those_of_the_java_client(key: bytes, murmur2: int) -> None:
    for partitions in (1, 3, 8, 512):
        assert keys.partition_of(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions


@given(codes, st.integers(1, 16), st.integers(1, 64))
def test_a_destination_lives_in_as_few_partitions_as_it_has_shards(entity: str, shards: int, partitions: int) -> None:
    shard = keys.shard_of(entity.encode() or b"-", shards)
    homes = {keys.destination_partition("channel:demo", shard, partitions) for shard in range(shards)}
    assert 0 <= shard < shards
    assert keys.destination_partition("channel:demo", shard, partitions) in homes
    assert len(homes) <= shards
