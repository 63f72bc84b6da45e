"""The guides to snapshots show what the command prints and records that the inventory role takes."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sluice.cli.main import main
from tests.fakes.snapshots import lines, stage
from topics.records.facts.stock import ABANDONED_REASONS

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "stock-snapshots.md").read_text(encoding="utf-8")


def masked(text: str) -> list[str]:
    """Without what differs each time: ids, times, rates."""
    text = re.sub(r"snp_[0-9a-f]{16}", "snp_ID", text)
    text = re.sub(r"since [-0-9]+ [:0-9]+", "since TIME", text)
    return re.sub(r"in [0-9.]+ s \([0-9,]+ lines/s\)", "in SECONDS", text).splitlines()


async def test_the_command_prints_what_the_guide_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = re.findall(r"```console\n\$ cat stock.csv\n(.*?)```", GUIDE, re.DOTALL)
    file, command = shown.split("$ sluice ", 1)
    command, *said = command.splitlines()
    (tmp_path / "stock.csv").write_text(file)
    monkeypatch.chdir(tmp_path)
    path = "/api/inventory/snapshots/demo/DXB-WH-01"
    async with stage() as here:
        await here.put(lines({"BELT-BRN-L": 4}), {"Content-Type": "application/x-ndjson"}, path=path)
        where = ["--url", here.gateway.client.admin_url()]
        done = await asyncio.to_thread(CliRunner().invoke, main, [*command.split(), *where])
        assert masked(done.stderr + done.stdout) == masked("\n".join(said))
        assert done.exit_code == 1
        (answered,) = re.findall(r"curl -T stock.csv -H '(.*?)' '(.*?)'", GUIDE)
        status, _ = await here.put(file.encode(), dict([answered[0].split(": ")]), path=answered[1].split(":8081")[1])
        assert status == 200


def test_the_guide_names_every_way_to_be_abandoned() -> None:
    assert {reason for reason in ABANDONED_REASONS if f"`{reason}`" not in GUIDE} == set()


def test_records_of_the_guide_for_producers_are_taken(tmp_path: Path) -> None:
    guide = (DOCS / "producing.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(sluice\.command\.stock-snapshot-\w+)` \| `(.*?)` \|", guide)
    assert len(rows) == 4
    records = [
        {
            "headers": {"ce_id": str(n), "ce_type": kind, "sluice-channel": "demo", "sluice-snapshot": "s"},
            "value": value,
        }
        for n, (kind, value) in enumerate((kind, json.loads(value)) for kind, value in rows)
    ]
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    said = CliRunner().invoke(main, ["check", str(file)])
    assert (said.exit_code, said.output.splitlines()[-1]) == (0, "4 records: 4 would be taken, 0 would not")
