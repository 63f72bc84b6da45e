"""The forms of a stored entity: that of earlier versions is read and replaced, numbers keep their digits, and every
member of an entity is in what a change has."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter

import orjson
import pytest
from msgspec import structs

from streams.order.model.entities import Manifest, Order, Return, StateError
from streams.order.model.entity import Entity
from streams.order.model.limits import DELIVERIES_MAX, SEEN_MAX
from streams.order.model.parts import CALL_CODES, destination_of, new_delivery
from streams.order.storage import small
from streams.order.storage.changes import next_part, read
from streams.order.storage.encoding import decode_entity, encode_entity
from streams.order.storage.glance import look
from streams.order.storage.sections import HEAD, LISTS, NEVER, SECTIONS
from streams.runtime.tables.value_parts import base, split, with_part
from tests.support.orders import CHANNEL, Story, acknowledgement_body, create_body, update_body
from tests.support.orders_log import PARTITIONS, Logs, parts_of
from topics.contract.definition import Entity as Kind
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.records.json_text import read as read_json
from topics.records.keys import change_key, order_key, partition_of

KEY = order_key(CHANNEL, create_body()["orderCode"])
FORMER = (
    b'{"kind":"order","due":1760086400002,"stuck":{"pack":5},"channel":"demo","code":"O-1","state":"ACKNOWLEDGED",'
    b'"created":1760000000000,"updated":1760000000002,"location":"DXB-WH-01","digest":"2:f4","request":"1.0",'
    b'"factSequence":1,"facts":[[1,"order-created",1760000000000,{}]],"seen":[["4e","APPLIED",""]],'
    b'"sequences":{"increff":1},"deliveries":[["1.0","create-outward-order","increff",1760000000000,"delivered",'
    b'[[1,1760000000000,12.5,200,""]],null,"",""]],"lines":[["L-1","SKU",2,0,0,0,0]],'
    b'"properties":{"orderStatus":"CREATED","price":499.0000,"big":18446744073709551617},"holdCrossed":true,'
    b'"acknowledged":["DXB-WH-01"],"milestones":{"submitted":1760000000001},"waits":{"pack":1760000000002}}'
)
"""An order as an earlier version wrote it."""
FORMER_CHANGES = (
    (
        0,
        4,
        (
            "3AAioW/PAAABmc1THAKApGRlbW+wQkVOQ0gtMDAwMDAwMDAwMaxBQ0tOT1dMRURHRUTPAAABmcgswADPAAABmcgswASpRFhC"
            "LVdILTAx2SIyOmY0MTVjZTY3ODJiMzdhOTlkNTQ3YTIxYWQ3MzE2N2Fh2SIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDEwMDAw"
            "MDAwMC4wwASUlAGtb3JkZXItY3JlYXRlZM8AAAGZyCzAAICUAq9vcmRlci1zdWJtaXR0ZWTPAAABmcgswAGAlAOyb3JkZXIt"
            "YWNrbm93bGVkZ2VkzwAAAZnILMACga5hY2tub3dsZWRnZWRCealEWEItV0gtMDGUBK1vcmRlci11cGRhdGVkzwAAAZnILMAE"
            "gJOTsDRlYmRjMWEwNzkwMjVlYzOnQVBQTElFRKCTsDNjZTg4MmQ0NzhhNWEwMzmnQVBQTElFRKCUsGEyMWQwYTg0ODJmYjEx"
            "Y2anQVBQTElFRKCyMjpmYWUyMGZmY2U4NzA5NTZmgqdpbmNyZWZmAqxjaGFubmVsOmRlbW8Bk5nZIjAwMDAwMDAwMDAwMDAw"
            "MDAwMDAwMDAwMTAwMDAwMDAwLjC0Y3JlYXRlLW91dHdhcmQtb3JkZXKnaW5jcmVmZs8AAAGZyCzAAKlkZWxpdmVyZWSRlQHP"
            "AAABmcgswADLQCkAAAAAAADMyKDAoKCZ2SIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDEwMDAwMDAwMi4wr2Fja25vd2xlZGdl"
            "bWVudKxjaGFubmVsOmRlbW/PAAABmcgswAKpZGVsaXZlcmVkkZUBzwAAAZnILMAAy0ApAAAAAAAAzMigwKCgmdkiMDAwMDAw"
            "MDAwMDAwMDAwMDAwMDAwMDAxMDAwMDAwMDQuMLd1cGRhdGUtb3JkZXItcHJvcGVydGllc6dpbmNyZWZmzwAAAZnILMAEpnF1"
            "ZXVlZJDAoKCQkpeyQkVOQ0gtMDAwMDAwMDAwMS0xrUxBTS1URUUtQkxLLU0CAAAAAJeyQkVOQ0gtMDAwMDAwMDAwMS0yr0xB"
            "TS1KRUFOLUlORC0zMgEAAAAAkIWrb3JkZXJTdGF0dXOnQ1JFQVRFRK5kaXNwYXRjaEJ5VGltZb0yMDk1LTA2LTE3VDE0OjAw"
            "OjAwLjAwMCswMDowMLNzdGFydFByb2Nlc3NpbmdUaW1lvTIwOTUtMDYtMTRUMTI6MDA6MDAuMDAwKzAwOjAwpm9uSG9sZMKs"
            "bG9jYXRpb25Db2RlqURYQi1XSC0wMcKQwoOuZGlzcGF0Y2hCeVRpbWXPAAABmcgswACzc3RhcnRQcm9jZXNzaW5nVGltZc8A"
            "AAGZyCzAAKZvbkhvbGTPAAABmcgswADCkalEWEItV0gtMDGCqXN1Ym1pdHRlZM8AAAGZyCzAAaxhY2tub3dsZWRnZWTPAAAB"
            "mcgswAKQkJDCAIGkcGFja88AAAGZyCzAAg=="
        ),
    ),
    (
        1,
        5,
        (
            "3AARoWPPAAABmc1THAKABKxBQ0tOT1dMRURHRUTPAAABmcgswAUEgqdpbmNyZWZmAqxjaGFubmVsOmRlbW8BgASQA5CQkZnZ"
            "IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTAwMDAwMDA0LjC3dXBkYXRlLW9yZGVyLXByb3BlcnRpZXOnaW5jcmVmZs8AAAGZ"
            "yCzABKlkZWxpdmVyZWSRlQHPAAABmcgswADLQCkAAAAAAADMyKDAoKCQkA=="
        ),
    ),
    (
        2,
        6,
        (
            "3AARoWPPAAABmc1THAKABaxBQ0tOT1dMRURHRUTPAAABmcgswAYEgqdpbmNyZWZmAqxjaGFubmVsOmRlbW8CgQKUkZnZIjAw"
            "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMTAwMDAwMDA2LjCqcGFjay1vcmRlcqcxMDAwMDAxkZPZIDAwMDAwMDAwMDAwMDAwMDAw"
            "MDAwMDAwMTAwMDAwMDA2A88AAAGZyC01MM4AD0JBws8AAAGZyC01MKCgkJCQBJADkJCRmdkiMDAwMDAwMDAwMDAwMDAwMDAw"
            "MDAwMDAxMDAwMDAwMDYuMKpwYWNrLW9yZGVyrGNoYW5uZWw6ZGVtb88AAAGZyCzABqZxdWV1ZWSQwKCwNGU3ZWVlMTViYjM3"
            "MTNlNJKSAJeyQkVOQ0gtMDAwMDAwMDAwMS0xrUxBTS1URUUtQkxLLU0CAAIAAJIBl7JCRU5DSC0wMDAwMDAwMDAxLTKvTEFN"
            "LUpFQU4tSU5ELTMyAQABAACRm84AD0JBqURYQi1XSC0wMZKTskJFTkNILTAwMDAwMDAwMDEtMa1MQU0tVEVFLUJMSy1NApOy"
            "QkVOQ0gtMDAwMDAwMDAwMS0yr0xBTS1KRUFOLUlORC0zMgHZIjI6OTQ3YWZhMDUzNjFhYTEzZTBhY2U0NzE3NTA3ZjQ3NmSn"
            "UEFDS0lOR8DAwMDAwg=="
        ),
    ),
)
"""Level, source offset and content of the parts of an order, as the version before wrote them: several changes."""


@pytest.mark.parametrize("kind", [Order, Return, Manifest])
def test_every_member_is_in_the_head_a_list_or_one_section(kind: type[Entity]) -> None:
    named = Counter([*HEAD, *LISTS, *NEVER, *(name for section in SECTIONS[kind] for name in section.names)])
    members = {each.name for each in structs.fields(kind)}
    assert {name: count for name, count in named.items() if name in members and count != 1} == {}
    assert members - named.keys() == set()


@pytest.mark.parametrize("kind", [Order, Return, Manifest])
def test_every_member_is_in_the_change_of_a_small_entity_or_compared_with_its_base(kind: type[Entity]) -> None:
    named = Counter([*HEAD[:2], *NEVER, *small.LISTED, *small.COMPARED[kind], *small.CHANGED[kind]])
    members = {each.name for each in structs.fields(kind)}
    assert {name: count for name, count in named.items() if name in members and count != 1} == {}
    assert members - named.keys() == set()


def test_the_form_of_the_version_before_is_read_and_replaced() -> None:
    value = base(FORMER, 7)
    assert look(value) == (1760086400002, True)
    order = read(value)
    assert isinstance(order, Order)
    assert (order.code, order.hold_crossed, order.lines[0].ordered) == ("O-1", True, 2)
    assert str(order.properties["price"]) == "499.0000"
    assert order.properties["big"] == 18446744073709551617
    (asked,) = order.deliveries
    assert (asked.touchpoint, asked.destination(CHANNEL)) == ("create-outward-order", "increff")
    part = next_part(order, 8)
    assert (part.level, read(base(part.content, 8))) == (0, order)


def test_a_request_keeps_a_code_of_what_it_calls() -> None:
    kept = {
        touchpoint.name for touchpoint in TOUCHPOINTS if touchpoint.entity in (Kind.ORDER, Kind.RETURN, Kind.MANIFEST)
    }
    codes = CALL_CODES.values()
    assert CALL_CODES.keys() == kept
    assert len({*codes, *BY_NAME}) == len(codes) + len(BY_NAME)
    for name in kept:
        made = new_delivery("1.0", name, 5)
        assert (made.touchpoint, made.destination("demo")) == (name, destination_of(BY_NAME[name], "demo"))
        assert (len(made.call), made.stored_destination) == (1, "")


def test_an_order_of_the_version_before_goes_on() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    table = logs.states[partition_of(KEY, PARTITIONS)].all[0]
    known = {"kind": "order", **logs.states_by_key()[KEY]}
    table.set(KEY, None, 0)
    table.set(KEY, orjson.dumps(known), 0)
    logs.restart()
    assert logs.states_by_key()[KEY] == known
    logs.answer(logs.requests()[0])
    logs.run()
    assert logs.states_by_key()[KEY]["state"] == "SUBMITTED"
    assert [part[:1] for part in parts_of(table, KEY)] != [b"{"]


def test_several_changes_of_a_small_entity_are_read_as_the_version_before_wrote_them() -> None:
    value: bytes | None = None
    for level, origin, content in FORMER_CHANGES:
        value = with_part(value, level, b64decode(content), origin)
    assert value is not None
    order = read(value)
    assert isinstance(order, Order)
    assert (order.state, len(order.facts), len(order.seen)) == ("ACKNOWLEDGED", 4, 3)
    assert [one.status for one in order.deliveries] == ["delivered"] * 3 + ["queued"]
    assert [line.packing for line in order.lines] == [2, 1]
    order.updated_ms += 1
    part = next_part(order, 9)
    assert (part.level, read(with_part(value, 0, part.content, 9))) == (0, order)


def test_numbers_that_no_double_holds_are_stored_as_they_came() -> None:
    story = Story()
    story.create()
    order = story.order
    order.properties |= {"rate": 0.1, **read_json(b'{"price":499.0000}')}
    assert str(decode_entity(encode_entity(order)).properties["price"]) == "499.0000"  # type: ignore[attr-defined]
    order.properties["big"] = 10**30
    raw = encode_entity(order)
    assert raw.startswith(b'["o",')
    assert decode_entity(raw) == order
    assert look(base(raw, 1))[0] == order.due_ms


def test_a_change_is_applied_to_nothing_but_what_it_is_of() -> None:
    story = Story()
    story.create()
    before = base(encode_entity(story.order), 3)
    order = read(before)
    order.updated_ms += 1
    level, change, whole, _ = next_part(order, 4)
    assert (level, whole) == (1, encode_entity(order))
    value = with_part(before, 1, change, 4)
    assert read(value) == order
    assert len(split(value).contents) == 2
    for wrong in (with_part(base(encode_entity(order), 2), 1, change, 4), with_part(before, 2, change, 4)):
        with pytest.raises(StateError, match="has lost a record"):
            read(wrong)
    with pytest.raises(StateError, match="not a change"):
        read(with_part(before, 1, change[:-1], 4))


def test_a_forgotten_order_leaves_no_record_behind() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.call("acknowledgement", acknowledgement_body(), "acknowledge")
    logs.run()
    logs.answer(logs.requests()[-1])
    logs.run()
    table = logs.states[partition_of(KEY, PARTITIONS)].all[0]
    written = {key for key, value in table.dirty.items() if value is not None}
    assert change_key(KEY, 1) in written
    table.dirty.clear()
    table.state.offset += 1
    table.delete(KEY)
    table.merge()
    assert next(iter(table.dirty)) == KEY
    assert dict.fromkeys(written) == table.dirty
    assert table.get(KEY) is None


def test_an_event_that_comes_again_after_many_others_lists_its_request_again() -> None:
    """No verdict of it is known any more, so it makes a request under the same id."""
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    doubled = 0
    for n in [*range(SEEN_MAX + 6)] * 3:
        logs.answer(logs.requests()[-1])
        logs.call("update-order-properties", update_body(hold=not n % 2), f"update-{n}")
        logs.run()
        ids = [request for request, *_ in logs.states_by_key()[KEY]["deliveries"]]
        doubled = max(doubled, len(ids) - len(set(ids)))
    assert doubled > 1
    assert len(ids) == DELIVERIES_MAX
