"""An upload becomes begin, parts and end in order, whatever its size; one that breaks off sets nothing to 0; each line
that cannot be taken is told by its number. The records are decided by the real role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import orjson
import pytest

import gateway.api.snapshots.api
import gateway.api.snapshots.upload
from gateway.api.snapshots.formats import LINE_BYTES_MAX, Csv, Entry, Parsed
from gateway.api.snapshots.upload import PARTS_AT_ONCE, Target, Upload
from gateway.http.answers import Refused
from gateway.ports import StoodStill, Unavailable
from tests.fakes.gateway import FakeKafka
from tests.fakes.snapshots import PATH, lines, stage
from tests.support.eventually import eventually
from topics.api.snapshots import SnapshotTaken
from topics.records.envelope import parse
from topics.stock.positions import is_position
from topics.stock.snapshots import SNAPSHOT_ABORT, SNAPSHOT_BEGIN

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}


async def test_a_complete_snapshot_sets_what_it_does_not_name_to_0() -> None:
    async with stage() as here:
        status, first = await here.put(lines({"A": 1, "B": 2, "C": 3}), NDJSON)
        assert status == 200, first
        assert (status, first["state"], first["changed"], first["zeroed"]) == (200, "applied", 3, 0)
        status, second = await here.put(lines({"A": 1, "C": 4}) + b"\n\n", NDJSON, "?complete=true")
        assert status == 200
        SnapshotTaken.model_validate(second)
        counts = {name: second[name] for name in ("lines", "received", "changed", "unchanged", "zeroed", "refused")}
        assert counts == {"lines": 2, "received": 2, "changed": 1, "unchanged": 1, "zeroed": 1, "refused": 0}
        assert here.kafka.stock() == {"A": 1, "B": 0, "C": 4}
        told = await (await here.gateway.client.get(PATH)).json()
        assert [one["snapshot"] for one in told["snapshots"]] == [second["snapshot"], first["snapshot"]]
        assert here.kafka.kinds() == ["begin", "part", "end"] * 2
        assert len({envelope.id for envelope in here.kafka.envelopes()}) == 6


async def test_a_stream_of_any_size_is_passed_on_in_parts_a_bounded_number_at_once() -> None:
    async def body() -> AsyncIterator[bytes]:
        whole = lines({f"S{number}": number for number in range(12_345)})
        for begin in range(0, len(whole), 3_333):
            yield whole[begin : begin + 3_333]

    async with stage() as here:
        status, told = await here.put(body(), NDJSON)
        assert (status, told["received"], told["lines"]) == (200, 12_345, 12_345)
        parts = [orjson.loads(record.value) for record in here.kafka.records[1:-1]]
        assert [part["part"] for part in parts] == list(range(62))
        assert max(len(part["inventories"]) for part in parts) == 200
        assert max(here.kafka.at_once) == PARTS_AT_ONCE
        assert here.kafka.stock() == {f"S{number}": number for number in range(12_345)}


async def test_lines_that_cannot_be_taken_are_told_by_their_number_and_stay_as_they_are() -> None:
    async with stage() as here:
        await here.put(lines({"A": 1, "B": 2, "C": 3}), NDJSON)
        body = lines({"A": 5, "B": -1})
        status, told = await here.put(body, NDJSON, "?complete=true")
        assert (status, told["refused"], told["notComplete"]) == (200, 1, None)
        assert told["errors"] == [{"line": 2, "error": "quantity: must be at least 0"}]
        assert here.kafka.stock() == {"A": 5, "B": 2, "C": 0}


async def test_codes_of_lines_may_be_numbers() -> None:
    body = b'{"channelSkuCode":4711,"quantity":2.0}\n{"channelSkuCode":4712,"quantity":"many"}\n'
    async with stage() as here:
        await here.put(lines({"4712": 3, "old": 1}), NDJSON)
        status, told = await here.put(body, NDJSON, "?complete=true")
        assert (status, told["refused"], told["notComplete"]) == (200, 1, None)
        assert here.kafka.stock() == {"4711": 2, "4712": 3, "old": 0}
        path = "/api/inventory/snapshots/demo/~ALL"
        await here.put(b"channelSkuCode,consolidatedQuantity,listingId\nA,1,007\nB,1,7\n", CSV, path=path)
        assert here.kafka.worker is not None
        found = [orjson.loads(value) for key, value in here.kafka.worker.table.items() if is_position(key)]
        assert {item["channelSkuCode"]: item.get("listingId") for item in found if "listingId" in item} == {
            "A": "007",
            "B": 7,
        }


async def test_a_line_without_a_sku_may_be_any_so_nothing_becomes_0() -> None:
    async with stage() as here:
        await here.put(lines({"A": 1, "B": 2}), NDJSON)
        status, told = await here.put(lines({"A": 5}) + b'\n\n{"quantity": 2}\n[\n', NDJSON, "?complete=true")
        assert (status, told["complete"]) == (200, False)
        assert told["notComplete"] == "of 2 refused lines not even the SKU is known"
        assert [error["line"] for error in told["errors"]] == [3, 4]
        assert here.kafka.stock() == {"A": 5, "B": 2}


async def test_csv_names_its_columns_in_the_first_line() -> None:
    body = b'\xef\xbb\xbfquantity,channelSkuCode,minExpiry\r\n1,A,\r\n2,"B,""b""",2027-01-31\r\nmany,C,\r\n3\r\n"4\r\n'
    async with stage() as here:
        status, told = await here.put(body, CSV)
        assert status == 200
        assert here.kafka.stock() == {"A": 1, 'B,"b"': 2}
        assert told["errors"] == [
            {"line": 4, "error": "quantity: must be a whole number"},
            {"line": 5, "error": "has 1 fields where the header has 3"},
            {"line": 6, "error": "a quoted field does not end; it must end on its line"},
        ]


@pytest.mark.parametrize(
    ("body", "headers", "errors", "stock"),
    [
        (b'channelSkuCode,quantity\nA,1\n"A\nB",5\nC,3\n', CSV, [3], {"A": 1, "C": 3}),
        (b'channelSkuCode,quantity\nA,1\n"A\nB', CSV, [3], {"A": 1}),
        (b"\xef\xbb\xbf" + lines({"A": 1, "B": 2}), NDJSON, [], {"A": 1, "B": 2}),
        (b'{"channelSkuCode":"A","quantity":1},{"channelSkuCode":"B"\n"quantity":2}\n', NDJSON, [1, 2], {}),
    ],
    ids=["a quoted line break", "an open quote", "a byte order mark", "two lines that are an item together"],
)
async def test_nothing_is_invented(
    body: bytes, headers: dict[str, str], errors: list[int], stock: dict[str, int]
) -> None:
    async with stage() as here:
        await here.put(lines({"before": 1}), NDJSON)
        status, told = await here.put(body, headers, "?complete=true")
        assert status == 200, told
        assert [error["line"] for error in told["errors"]] == errors
        assert bool(told["notComplete"]) is bool(errors)
        assert here.kafka.stock() == {"before": 1 if errors else 0, **stock}


async def test_consolidated_stock_has_its_own_path_and_members() -> None:
    item = {"channelSkuCode": "A", "consolidatedQuantity": "7", "listingId": 9, "minExpiry": "2027-01-31"}
    path = "/api/inventory/snapshots/demo/~ALL"
    async with stage() as here:
        other = {**item, "channelSkuCode": "B"}
        status, _ = await here.put(orjson.dumps(item) + b"\n" + orjson.dumps(other), NDJSON, path=path)
        assert (status, here.kafka.stock()) == (200, {"A": 7, "B": 7})
        body = b"channelSkuCode,consolidatedQuantity,listingId\nA,7.0,9\n"
        status, told = await here.put(body, CSV, "?complete=true", path=path)
        assert (status, told["changed"], told["zeroed"]) == (200, 1, 1)
        assert here.kafka.stock() == {"A": 7, "B": 0}
        assert here.kafka.worker is not None
        (left,) = [value for key, value in here.kafka.worker.table.items() if is_position(key) and key.endswith(b"|B")]
        assert orjson.loads(left) == {"channelSkuCode": "B", "consolidatedQuantity": 0, "listingId": 9}


@pytest.mark.parametrize(
    ("body", "headers", "status", "named"),
    [
        (b"", NDJSON, 400, "has no position"),
        (b"\n \n", NDJSON, 400, "has no position"),
        (b"sku,qty\nA,1\n", CSV, 400, "lacking: channelSkuCode, quantity; unknown: sku, qty"),
        (b"channelSkuCode,quantity\n", CSV, 400, "has no position"),
        (b"{}", {"Content-Type": "application/json"}, 415, "application/x-ndjson"),
        (b"x" * (LINE_BYTES_MAX + 1), NDJSON, 400, "a line has more than"),
        (b"nothing\n" * 2_000, NDJSON, 400, "line 1: is not JSON"),
    ],
)
async def test_what_is_no_list_of_stock_is_refused_and_aborted(
    body: bytes, headers: dict[str, str], status: int, named: str
) -> None:
    async with stage() as here:
        found, problem = await here.put(body, headers, "?complete=true")
        assert (found, problem["status"]) == (status, status)
        assert named in problem["detail"]
        assert here.kafka.kinds()[-1:] in ([], ["abort"])


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/api/inventory/snapshots/none/L1", 404, "there are: demo"),
        ("/api/inventory/snapshots/demo/~SHOP", 400, "~ALL, ~STORE"),
        (f"/api/inventory/snapshots/demo/{'x' * 256}", 400, "at most 255"),
        (PATH + "?complete=yes", 400, "must be true or false"),
    ],
)
async def test_a_path_that_names_no_stock_is_refused(path: str, status: int, named: str) -> None:
    async with stage() as here:
        found, problem = await here.put(lines({"A": 1}), NDJSON, path=path)
        assert (found, here.kafka.records) == (status, [])
        assert named in problem["detail"]


async def test_a_token_is_wanted_where_one_is_set() -> None:
    async with stage(api_token="t") as here:
        assert (await here.put(lines({"A": 1}), NDJSON))[0] == 401
        assert (await here.gateway.client.get(PATH)).status == 401
        assert (await here.put(lines({"A": 1}), {**NDJSON, "Authorization": "Bearer t"}))[0] == 200


async def test_what_no_snapshot_is_known_of_is_unknown() -> None:
    async with stage() as here:
        assert (await here.gateway.client.get(PATH)).status == 404


async def test_an_upload_that_stands_still_is_aborted_and_zeroes_nothing() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield lines({f"S{number}": 1 for number in range(300)})
        await asyncio.Event().wait()

    async with stage(snapshot_idle_s=0.05) as here:
        await here.put(lines({"A": 1}), NDJSON)
        status, problem = await here.put(body(), NDJSON, "?complete=true")
        assert (status, problem["code"]) == (408, "TIMEOUT")
        assert here.kafka.kinds()[3:] == ["begin", "abort"]
        assert here.kafka.stock() == {"A": 1}
        told = await (await here.gateway.client.get(PATH)).json()
        assert (told["snapshots"][0]["state"], told["snapshots"][0]["reason"]) == ("abandoned", "aborted")


async def test_a_client_that_breaks_off_is_aborted() -> None:
    async with stage() as here:
        host, port = here.gateway.client.admin.host, here.gateway.client.admin.port
        _, writer = await asyncio.open_connection(host, port)
        head = f"PUT {PATH}?complete=true HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 999\r\n\r\n"
        writer.write(head.encode() + b"channelSkuCode,quantity\nA,1\n")
        await writer.drain()
        await eventually(lambda: here.kafka.kinds() == ["begin"])
        writer.close()
        await eventually(lambda: here.kafka.kinds() == ["begin", "abort"])


async def test_kafka_that_takes_no_part_for_too_long_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.api.snapshots.upload, "PATIENCE_S", 0.0)
    async with stage() as here:
        here.kafka.refuses = lambda record: parse(record.headers).type.endswith("part")
        status, problem = await here.put(lines({"A": 1}), NDJSON)
        assert (status, problem["code"]) == (503, "UNAVAILABLE")
        assert here.kafka.kinds() == ["begin", "abort"]


async def test_a_producer_that_is_full_or_loses_an_acknowledgement_is_given_the_same_again() -> None:
    async with stage() as here:
        here.kafka.full, here.kafka.unheard = 2, 3
        quantities = {f"S{number}": number for number in range(1_000)}
        status, told = await here.put(lines(quantities), NDJSON, "?complete=true")
        assert (status, told["state"], told["received"]) == (200, "applied", 1_000)
        assert here.kafka.kinds() == ["begin", *["part"] * (5 + 4 + 3), "end"]
        assert here.kafka.stock() == quantities


async def test_uploads_at_once_are_bounded() -> None:
    begun = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield lines({"A": 1}) + b"\n"
        begun.set()
        await asyncio.Event().wait()

    async with stage(snapshot_uploads_max=1, snapshot_idle_s=1.0) as here:
        first = asyncio.create_task(here.put(body(), NDJSON))
        await begun.wait()
        await eventually(lambda: bool(here.kafka.records))
        status, problem = await here.put(lines({"A": 1}), NDJSON)
        assert (status, problem["code"]) == (503, "OVERLOADED")
        first.cancel()


async def test_who_is_replaced_is_told_and_what_takes_long_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.api.snapshots.api, "OUTCOME_S", 0.05)
    async with stage() as here:

        async def body() -> AsyncIterator[bytes]:
            yield lines({f"S{number}": 1 for number in range(200)})
            await here.put(lines({"A": 1}), NDJSON)

        status, problem = await here.put(body(), NDJSON, "?complete=true")
        assert (status, problem["code"]) == (409, "ABANDONED")
        assert "replaced" in problem["detail"]
        here.kafka.read = lambda _key, _value: None
        status, told = await here.put(lines({"A": 2}), NDJSON)
        assert (status, told["state"]) == (202, "open")


async def test_kafka_that_is_away_is_told_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.api.snapshots.upload, "PATIENCE_S", 0.0)
    async with stage() as here:
        here.kafka.away = "away"
        assert (await here.put(lines({"A": 1}), NDJSON))[0] == 503
        here.kafka.away, here.kafka.error = None, Unavailable("away")
        assert (await here.put(lines({"A": 1}), NDJSON))[0] == 503
        assert here.kafka.records == []


async def test_a_number_of_any_length_in_csv_is_a_line_that_cannot_be_taken() -> None:
    async with stage() as here:
        status, told = await here.put(b"channelSkuCode,quantity\nA,%b\nB,4\n" % (b"9" * 5_000), CSV)
        assert (status, [error["line"] for error in told["errors"]]) == (200, [2])
        assert here.kafka.stock() == {"B": 4}


class Whole:
    """A body that is there in one chunk."""

    def __init__(self, body: bytes) -> None:
        self.chunks = [body, b""]

    async def readany(self) -> bytes:
        return self.chunks.pop(0)


async def test_other_calls_have_their_turn_between_the_parts_of_one_chunk() -> None:
    turn = 0
    seen: list[int] = []

    class Watched(Csv):
        def parse(self, lines: Sequence[Entry]) -> Parsed:
            seen.append(turn)
            return super().parse(lines)

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    target = Target("snp_1", "demo", "L1", b"demo|L1", 0)
    form = Watched(consolidated=False)
    upload = Upload(target, form, complete=False, producer=FakeKafka(), now_ms=lambda: 0, idle_s=5)
    working = asyncio.create_task(others())
    await upload.run(Whole(b"channelSkuCode,quantity\n" + b"".join(b"S%d,1\n" % number for number in range(2_000))))
    working.cancel()
    assert len(set(seen)) == len(seen) == 10


async def test_an_upload_that_a_standstill_cuts_says_that_a_part_of_it_counts() -> None:
    stood_still = [False]

    class Content(Whole):
        async def readany(self) -> bytes:
            stood_still[0] = len(self.chunks) < 2
            return await super().readany()

    def check() -> None:
        if stood_still[0]:
            raise StoodStill

    target, kafka = Target("snp_1", "demo", "L1", b"demo|L1", 0), FakeKafka()
    upload = Upload(
        target, Csv(consolidated=False), complete=True, producer=kafka, now_ms=lambda: 0, idle_s=5, check=check
    )
    content = Content(b"channelSkuCode,quantity\nS1,1\n")
    content.chunks.insert(1, b"S2,1\n")
    with pytest.raises(Refused) as refused:
        await upload.run(content)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    assert "counts as updates" in refused.value.text
    assert [parse(record.headers).type for record in kafka.records][0 :: len(kafka.records) - 1] == [
        SNAPSHOT_BEGIN,
        SNAPSHOT_ABORT,
    ]
