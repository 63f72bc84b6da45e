"""`sluice inventory load` sends a file of any of its formats as a stream, tells of progress apart from the result, and
says what was refused. The gateway and the inventory role behind it are real."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import gateway.api.snapshots.api
import sluice.cli.stock.load
from sluice.cli.main import main
from tests.fakes.snapshots import Stage, lines, stage


async def load(here: Stage, *arguments: str, given: bytes | None = None) -> Result:
    where = ["--channel", "demo", "--location", "L1", "--url", here.gateway.client.admin_url()]
    return await asyncio.to_thread(CliRunner().invoke, main, ["inventory", "load", *arguments, *where], given)


async def test_csv_is_sent_as_it_is_and_the_result_is_told(tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("channelSkuCode,quantity\nA,1\nB,2\n")
    async with stage() as here:
        done = await load(here, str(file))
        assert (done.exit_code, here.kafka.stock()) == (0, {"A": 1, "B": 2})
        assert "3 lines, 0.0 MB sent in" in done.stderr
        first, *others = done.stdout.splitlines()
        assert first.startswith("snp_")
        assert ": applied, L1 of demo, since " in first
        assert others == ["  2 SKUs: 2 changed, 0 unchanged, 0 overtaken by updates"]


async def test_parquet_becomes_lines_and_what_is_absent_becomes_0(tmp_path: Path) -> None:
    file = tmp_path / "stock.parquet"
    columns = {"channelSkuCode": ["A", "B"], "quantity": [1.0, 2.0], "channelSerialNo": [None, "s"]}
    pq.write_table(pa.table(columns), file)
    async with stage() as here:
        await load(here, "-", "--format", "ndjson", given=lines({"A": 7, "C": 8}))
        done = await load(here, str(file), "--complete", "--json")
        assert (done.exit_code, here.kafka.stock()) == (0, {"A": 1, "B": 2, "C": 0})
        assert json.loads(done.stdout)["zeroed"] == 1


async def test_refused_lines_are_told_by_number_and_by_the_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "stock.jsonl"
    file.write_bytes(lines({"A": 1, "B": -1}) + b"\n{\n")
    async with stage() as here:
        done = await load(here, str(file), "--complete")
        assert (done.exit_code, here.kafka.stock()) == (1, {"A": 1})
        assert done.stdout.splitlines()[1:] == [
            "  2 SKUs: 1 changed, 0 unchanged, 0 overtaken by updates",
            "  nothing was set to 0: of 1 refused lines not even the SKU is known",
            "  2 of 3 lines refused",
            "    line 2: quantity: must be at least 0",
            "    line 3: is not JSON: unexpected end of data",
        ]


async def test_of_many_refused_lines_it_says_how_many_are_not_listed(tmp_path: Path) -> None:
    file = tmp_path / "stock.ndjson"
    file.write_bytes(lines({f"S{at}": at % 2 - 1 for at in range(206)}))
    async with stage() as here:
        told = (await load(here, str(file))).stdout.splitlines()
        assert told[2] == "  103 of 206 lines refused"
        assert told[-2:] == ["    line 199: quantity: must be at least 0", "    and 3 more, not listed"]


async def test_a_gateway_that_answers_early_is_listened_to(tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("sku,quantity\n" + "A,1\n" * 4_000_000)
    async with stage() as here:
        done = await load(here, str(file))
        assert done.exit_code == 2
        assert "lacking: channelSkuCode; unknown: sku" in done.stderr


async def test_what_takes_longer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.api.snapshots.api, "OUTCOME_S", 0.01)
    monkeypatch.setattr(sluice.cli.stock.load, "POLL_S", 0.01)
    async with stage() as here:
        read, late = here.kafka.read, list[Any]()
        here.kafka.read = lambda key, value: late.append((key, value))
        loading = asyncio.create_task(load(here, "-", "--format", "ndjson", given=lines({"A": 1})))
        while not loading.done():
            if here.kafka.kinds()[-1:] == ["end"]:
                for key, value in late:
                    read(key, value)
            await asyncio.sleep(0.05)
        assert loading.result().exit_code == 0
        assert "applied, L1 of demo" in loading.result().stdout
        shown = ["inventory", "snapshots", "demo", "L1", "--url", here.gateway.client.admin_url()]
        told = await asyncio.to_thread(CliRunner().invoke, main, shown)
        assert (told.exit_code, told.stdout) == (0, loading.result().stdout)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["stock.txt"], "--format csv, ndjson or parquet"),
        (["-", "--format", "parquet"], "cannot be read from standard input"),
        (["-"], "standard input does not say its format; give --format csv or ndjson"),
        (["missing.csv"], "missing.csv: cannot be read: No such file or directory"),
        (["missing.parquet"], "missing.parquet: cannot be read: No such file or directory"),
        (["setup.csv", "--url", "nowhere"], "--url nowhere: expected http://HOST:PORT"),
    ],
)
def test_what_cannot_be_read_is_said(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.csv").touch()
    done = CliRunner().invoke(main, ["inventory", "load", "--channel", "demo", "--location", "L1", *arguments])
    assert done.exit_code == 2
    assert named in done.stderr


@pytest.mark.parametrize(
    ("skus", "quantities", "named"),
    [
        ([b"A", b"B"], [1.0, None], None),  # a column of bytes that are texts; floats, because a quantity is missing
        ([b"A", b"\xff"], [1, 2], "column channelSkuCode has bytes that are not UTF-8"),
        ([["A"], ["B"]], [1, 2], "column channelSkuCode has lists or structures"),
        (["A", "B"], [Decimal("1.00"), Decimal("2.50")], None),
    ],
    ids=["bytes", "no text", "lists", "decimals"],
)
async def test_parquet_is_taken_as_what_it_says(
    skus: list[Any], quantities: list[Any], named: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "stock.parquet"
    pq.write_table(pa.table({"channelSkuCode": skus, "quantity": quantities}), file)
    async with stage() as here:
        done = await load(here, str(file))
        if named is None:
            assert done.exit_code == 1, done.output
            assert here.kafka.stock() == {"A": 1}
        else:
            assert done.exit_code == 2, done.output
            assert named in done.stderr


async def test_parquet_that_is_none_or_cannot_be_read_here_is_said_and_nothing_becomes_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stock.parquet"
    file.write_bytes(b"no parquet")
    async with stage() as here:
        done = await load(here, str(file), "--complete")
        assert (done.exit_code, here.kafka.kinds()) == (2, [])
        assert "stock.parquet: cannot be read as Parquet" in done.stderr
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        done = await load(here, str(file), "--complete")
        assert (done.exit_code, here.kafka.kinds()) == (2, [])
        assert "pip install 'sluice-gateway[parquet]'" in done.stderr
