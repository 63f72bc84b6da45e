"""`sluice check`: a dry run says what the roles would say, in the order of the file, and sends nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sluice.cli.dry_run import DryRun, Finding, entries
from sluice.cli.main import main
from sluice.demo_channels import demo_channels
from streams.order.role import OrdersRole
from streams.runtime import decide as decide_module
from tests.support.orders import START_MS, acknowledgement_body, create_body, manifest_body, pack_body, sample
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.contract.definition import Entity
from topics.contract.entities import entity_key
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.records.keys import partition_of


def checked(*items: Any) -> list[Finding]:
    run = DryRun(Settings(), parse_channels(demo_channels(), where="demo"), START_MS)
    return [run.check(line, entry) for line, entry in entries("\n".join(json.dumps(item) for item in items))]


def call(touchpoint: str, body: Any, **more: Any) -> dict[str, Any]:
    return {"touchpoint": touchpoint, "body": body, **more}


def test_orders_are_decided_in_the_order_of_the_file() -> None:
    found = checked(
        call("acknowledgement", acknowledgement_body("O")),
        call("create-outward-order", create_body("N")),
        call("create-outward-order", create_body("N")),
        call("create-outward-order", create_body("N", quantities=(5,))),
        call("pack-order", pack_body(1, "N", sku_1=1)),
        call("pack-order", pack_body(2, "N", sku_1=9)),
    )
    assert [one.verdict for one in found] == ["EARLY", "APPLIED", "DUPLICATE", "CONFLICT", "WAITS", "REFUSED"]
    assert [one.bad for one in found] == [True, False, False, True, False, True]
    assert all(one.message for one in found if one.bad)


def test_values_in_another_form_are_judged_as_by_the_roles() -> None:
    number = {**create_body("4711"), "orderCode": 4711, "onHold": "false"}
    found = checked(
        call("create-outward-order", number),
        call("create-outward-order", create_body("4711")),
        call("create-outward-order", {**number, "onHold": "maybe"}),
        call(
            "location-wise-atp-inventory", {"locationCode": 5, "inventories": [{"channelSkuCode": 5, "quantity": "7"}]}
        ),
    )
    assert [one.verdict for one in found] == ["APPLIED", "DUPLICATE", "REJECTED", "TAKEN"]
    assert [one.key for one in found] == ["demo|4711"] * 3 + ["demo|5"]


def test_key_and_partition_are_those_in_which_the_record_would_be_decided() -> None:
    (found,) = checked(call("create-outward-order", create_body("N")))
    key = entity_key(BY_NAME["create-outward-order"], "demo", {"orderCode": "N"})
    assert (found.topic, found.key) == ("orders.commands", key.decode())
    assert found.partition == partition_of(key, Settings().partitions)


def test_a_record_as_it_is_produced_gets_the_same() -> None:
    headers = {"ce_id": "e-1", "ce_type": "sluice.command.create-outward-order", "sluice-channel": "demo"}
    found = checked({"headers": headers, "value": create_body("N"), "key": "any"})
    assert [(one.verdict, one.event) for one in found] == [("APPLIED", "e-1")]


@pytest.mark.parametrize(
    ("entry", "verdict", "named"),
    [
        (call("create-outward-order", {"orderCode": "x"}), "REJECTED", "orderItems"),
        (call("create-outward-order", [1]), "REJECTED", "JSON object"),
        (call("create-outward-order", create_body("x"), channel="nobody"), "REJECTED", "nobody"),
        (call("no-such-call", {}), "UNREADABLE", "no-such-call"),
        (call("search-inventory", {}), "UNREADABLE", "over HTTP"),
        ({"value": {}}, "UNREADABLE", "headers"),
        ({"headers": {"ce_id": "e"}, "value": {}}, "UNREADABLE", "ce_type"),
        ([], "UNREADABLE", "object"),
        (call("location-wise-atp-inventory", {"locationCode": "L", "inventories": [{}]}), "REJECTED", "inventories"),
    ],
)
def test_what_is_wrong_is_said_where(entry: Any, verdict: str, named: str) -> None:
    (found,) = checked(call("create-outward-order", create_body("first")), entry)[1:]
    assert (found.line, found.verdict) == (2, verdict)
    assert named in found.message


def test_stock_is_taken_in_its_own_table() -> None:
    body = {"locationCode": "L", "inventories": [{"channelSkuCode": "A", "quantity": 1}]}
    (found,) = checked(call("location-wise-atp-inventory", body))
    assert (found.verdict, found.topic, found.message) == ("TAKEN", "inventory.updates", "")


def test_a_reply_topic_of_nobody_is_named() -> None:
    headers = {
        "ce_id": "e-1",
        "ce_type": "sluice.command.create-outward-order",
        "sluice-channel": "demo",
        "sluice-reply-topic": "sluice.replies.others.v1",
    }
    (found,) = checked({"headers": headers, "value": create_body("N")})
    assert found.verdict == "REJECTED"
    assert "sluice-reply-topic" in found.message


@pytest.mark.parametrize("touchpoint", [t for t in TOUCHPOINTS if t.entity is not Entity.NONE], ids=lambda t: t.name)
def test_every_touchpoints_sample_can_be_checked(touchpoint: Any) -> None:
    body = {**dict.fromkeys(touchpoint.path_members, "O"), **sample(touchpoint.name)}
    if touchpoint.split is not None:
        body[touchpoint.split] = body[touchpoint.split][:1]
    (found,) = checked(call(touchpoint.name, body))
    assert found.verdict in ("APPLIED", "EARLY", "WAITS", "TAKEN"), found


def test_a_batch_of_several_orders_is_to_be_split() -> None:
    (found,) = checked(call("handover-notification", sample("handover-notification")))
    assert found.verdict == "REJECTED"
    assert "one record carries one order" in found.message


def test_a_manifest_tells_each_of_its_orders_without_end() -> None:
    assert [one.verdict for one in checked(call("create-manifest", manifest_body("A", "B")))] == ["WAITS"]


def test_the_command_tells_people_and_programs_and_its_exit_code_does_too(tmp_path: Path) -> None:
    good = json.dumps(call("create-outward-order", create_body("N")), indent=2)
    said = CliRunner().invoke(main, ["check", "-"], input=good)
    assert said.exit_code == 0, said.output
    assert "APPLIED" in said.output
    assert "1 records: 1 would be taken, 0 would not" in said.output
    path = tmp_path / "bad.ndjson"
    path.write_text('{"touchpoint": "create-outward-order", "body": {}}\nnot json\n', encoding="utf-8")
    told = CliRunner().invoke(main, ["check", str(path), "--json"])
    assert told.exit_code == 1
    lines = [json.loads(line) for line in told.output.splitlines()]
    assert [(line["line"], line["verdict"]) for line in lines] == [(1, "REJECTED"), (2, "UNREADABLE")]


def test_a_file_of_bodies_is_checked_as_it_is() -> None:
    body = Path(__file__).parents[4] / "docs" / "first-order.json"
    said = CliRunner().invoke(main, ["check", str(body), "--touchpoint", "create-outward-order"])
    assert said.exit_code == 0, said.output


def test_the_guide_shows_what_the_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[4]
    guide = (root / "docs" / "producing.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```console\n\$ tail (.*?)```", guide, re.DOTALL)
    (tail, *lines), (command, *said) = (part.splitlines() for part in shown.split("$ .venv/bin/sluice "))
    monkeypatch.chdir(root)
    *_, path = tail.split()
    assert lines == Path(path).read_text(encoding="utf-8").splitlines()[-2:]
    assert CliRunner().invoke(main, command.split()).output.splitlines() == said


def test_a_channel_that_channels_toml_does_not_have_is_told_with_those_it_has() -> None:
    body = Path(__file__).parents[4] / "docs" / "first-order.json"
    said = CliRunner().invoke(main, ["check", str(body), "--touchpoint", "create-outward-order", "--channel", "nope"])
    assert said.exit_code == 2
    assert "--channel nope: the built-in channels.toml has no such channel; there are: demo" in said.output


def test_a_record_that_cannot_be_decided_is_told_as_one_that_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runtime does it: what it put is undone, and the next record is decided."""

    def decide(_: Any, record: Any, tables: Any) -> Any:
        assert tables["orders.state"].get(record.key) is None
        tables["orders.state"].put(record.key, b"half")
        raise KeyError("a fault in the rules")

    with monkeypatch.context() as patched:
        patched.setattr(OrdersRole, "decide", decide)
        found = checked(*(call("create-outward-order", create_body("N")) for _ in range(2)))
    assert [one.verdict for one in found] == ["REJECTED", "REJECTED"]
    assert all("a fault in the rules" in one.message and "fault in Sluice" in one.message for one in found)


def test_what_would_be_too_large_for_a_topic_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_module, "VALUE_BYTES_MAX", 100)
    (found,) = checked(call("create-outward-order", create_body("N")))
    assert found.verdict == "REJECTED"
    assert "too_large" in found.message


def test_an_empty_file_is_no_success(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["check", "-"], input="\n").exit_code == 1


def test_a_byte_order_mark_and_other_line_breaks_of_unicode_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    item = {"channelSkuCode": "A\u2028B", "quantity": 1}
    body = json.dumps({"locationCode": "L1", "inventories": [item]}, ensure_ascii=False)
    for text in (f"\ufeff{body}\n{body}\n", f"\ufeff{body}"):
        file.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(main, ["check", str(file), "--touchpoint", "location-wise-atp-inventory"])
        assert done.exit_code == 0, done.output
