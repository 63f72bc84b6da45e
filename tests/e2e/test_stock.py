"""What operators do about stock, as far as the marketplace: pause it, see what is refused, have it all told again."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.e2e.stack import Stack
from topics.records.facts.catalogue import check

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "stock.md"
ATP = "location-wise-atp-inventory"
COMMAND_S = 30.0


async def sluice(stack: Stack, *arguments: str) -> str:
    """What `sluice inventory ...` prints."""
    acts = ("--yes", "--reason", "a test") if arguments[0] in ("pause", "resume", "resync", "reconcile") else ()
    command = [sys.executable, "-m", "sluice", "inventory", *arguments, *acts]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env={**os.environ, "SLUICE_URL": stack.admin_url},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def give(stack: Stack, location: str, quantities: dict[str, int]) -> None:
    items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in quantities.items()]
    answer = await stack.as_increff("PUT", "/inventory", {"locationCode": location, "inventories": items})
    assert answer.status == 200, answer


async def has(stack: Stack, location: str) -> dict[str, int]:
    """What the marketplace believes."""
    answer = await stack.call("GET", f"{stack.marketplace}/_sandbox/stock")
    return {sku: item["quantity"] for sku, item in answer.body["locations"].get(location, {}).items()}


async def arrives(stack: Stack, location: str, quantities: dict[str, int]) -> None:
    async def there() -> bool:
        return await has(stack, location) == quantities

    await stack.eventually(there, f"{location} has {quantities}")


async def told(stack: Stack, location: str) -> list[dict[str, int]]:
    """What each call told of the location."""
    return [
        {item["channelSkuCode"]: item["quantity"] for item in request["body"]["inventories"]}
        for request in await stack.seen("marketplace", ATP)
        if request["body"]["locationCode"] == location
    ]


async def status_of(stack: Stack, location: str) -> dict[str, Any]:
    answer = await stack.call("GET", f"{stack.admin_url}/api/inventory/status/demo")
    assert answer.status == 200, answer
    (channel,) = answer.body["channels"]
    return next((one for one in channel["locations"] if one["location"] == location), {})


async def is_told(stack: Stack, location: str, **figures: Any) -> None:
    """Waits until the status says so."""

    async def there() -> bool:
        status = await status_of(stack, location)
        return all(status.get(name) == value for name, value in figures.items())

    await stack.eventually(there, f"the status of {location} says {figures}")


async def facts_of(stack: Stack) -> list[tuple[str, dict[str, Any]]]:
    """Every fact about stock; a repeat of one is one."""
    name = "sluice.inventory.events.v1"
    found: dict[bytes, tuple[str, dict[str, Any]]] = {}
    servers = f"127.0.0.1:{stack.kafka_port}"
    async with AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False) as consumer:
        # The client asks Kafka only about topics it uses.
        consumer.assign([TopicPartition(name, 0)])
        while not (numbers := consumer.partitions_for_topic(name)):  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.1)
        places = [TopicPartition(name, number) for number in numbers]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = dict(record.headers)
                    fact = headers["ce_type"].decode().removeprefix("sluice.fact.")
                    data = orjson.loads(record.value)
                    check(fact, data)
                    found[headers["ce_id"]] = (fact, data)
    return list(found.values())


def commands_of(guide: str) -> list[tuple[str, str]]:
    """Each command of the guide, and what it says that is printed."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", guide, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            last = next(number for number, line in enumerate(lines) if not _goes_on(lines, number))
            found.append(("\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])))
    return found


def _goes_on(lines: list[str], number: int) -> bool:
    """Whether the shell reads on behind this line: it is continued, or a quotation is open."""
    text = "\n".join(lines[: number + 1])
    return text.endswith("\\") or text.count("'") % 2 == 1


def as_said(text: str) -> str:
    """Without what differs between two runs: times, ages, counts of time, ids, and the width of columns."""
    text = re.sub(r"\b(res|rec)_[0-9a-f]+", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", text)
    text = re.sub(r"\d+ records read", "N records read", text)
    text = re.sub(r"\d+\.\d+", "N", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()


class Guide:
    """Runs commands as they are written in the documents, on a stack's own ports."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ports = {
            "8080": stack.port,
            "8081": stack.admin_port,
            "8092": stack.marketplace_port,
            "9092": stack.kafka_port,
        }

    async def printed(self, command: str) -> str:
        for port, real in self._ports.items():
            command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{real}")
        command = re.sub(r"^sluice ", f"{sys.executable} -m sluice ", command)
        command = re.sub(r"^python ", f"{sys.executable} ", command)
        command = command.replace("stock.duckdb", f"{self._stack.data_dir}.duckdb")
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            env={**os.environ, "SLUICE_URL": self._stack.admin_url},
            cwd=ROOT,
            timeout=COMMAND_S,
            check=False,
        )
        return as_said(done.stdout if done.returncode == 0 else done.stderr)

    async def says(self, command: str, said: str) -> None:
        """At once, where something is done; in the end, where a state is shown."""
        last = ""

        async def comes() -> bool:
            nonlocal last
            last = await self.printed(command)
            return last == as_said(said)

        if command.startswith(("sluice inventory status", "sluice inventory refused", "curl -s http")):
            await self._stack.eventually(comes, lambda: f"{command}\n{last}", every_s=0.3)
        else:
            assert await comes(), f"{command}\n{last}"


async def test_the_guide_says_what_is_printed(stack: Stack) -> None:
    """Each command of docs/stock.md, in its order, on a Sluice that has just started: the first test of the file."""
    guide = Guide(stack)
    commands = commands_of(GUIDE.read_text(encoding="utf-8"))
    assert len(commands) > 12
    for command, said in commands:
        await guide.says(command, said)


async def test_a_paused_channel_is_told_nothing_and_then_the_newest_only(stack: Stack) -> None:
    await give(stack, "P1", {"A": 1})
    await arrives(stack, "P1", {"A": 1})
    assert await sluice(stack, "pause", "demo") == "demo: paused; nothing is sent\n"
    await is_told(stack, "P1", paused=True)
    before = await told(stack, "P1")
    for quantity in (2, 3, 4):
        await give(stack, "P1", {"A": quantity, "B": 0})
    await is_told(stack, "P1", dirty=2)
    assert await told(stack, "P1") == before
    assert await sluice(stack, "resume", "demo") == "demo: not paused\n"
    await arrives(stack, "P1", {"A": 4, "B": 0})
    values = [call["A"] for call in (await told(stack, "P1"))[len(before) :] if "A" in call]
    assert values == [4]
    await is_told(stack, "P1", dirty=0, paused=False)


async def test_a_refused_sku_is_shown_and_reported_once_whoever_is_killed(stack: Stack) -> None:
    await stack.misbehave(
        "marketplace",
        {"touchpoint": ATP, "status": 200, "body": {"successList": [], "failureList": ["BAD"]}, "apply": True},
    )
    await give(stack, "R1", {"BAD": 1, "GOOD": 2})

    async def shown() -> bool:
        answer = await stack.call("GET", f"{stack.admin_url}/api/inventory/refused/demo/R1")
        return [one["channelSkuCode"] for one in answer.body.get("refused", ())] == ["BAD"]

    await stack.eventually(shown, "BAD is shown as refused")
    assert re.search(r"^R1 +BAD +in failureList, 200 +\d+ ", await sluice(stack, "refused", "demo"), re.MULTILINE)
    pid = stack.kill("delivery")
    await stack.restarted("delivery", pid)
    tries = len(await told(stack, "R1"))

    async def tried_again() -> bool:
        return len(await told(stack, "R1")) >= tries + 1

    await stack.eventually(tried_again, "BAD is tried again after the kill")
    await stack.behave("marketplace")

    async def accepted() -> bool:
        return not await shown()

    await stack.eventually(accepted, "BAD is refused no more", timeout_s=60)
    of_bad = [(name, fact) for name, fact in await facts_of(stack) if fact.get("channelSkuCode") == "BAD"]
    assert [name for name, _ in of_bad] == ["stock-refused", "stock-accepted-again"]
    assert of_bad[0][1]["sinceMs"] == of_bad[1][1]["refusedSinceMs"]
    assert "GOOD" not in {fact.get("channelSkuCode") for _, fact in await facts_of(stack)}


async def test_a_marketplace_that_lost_its_stock_has_it_again_after_a_resync(stack: Stack) -> None:
    stock = {f"S{number:03d}": number for number in range(450)}
    for start in range(0, 450, 150):
        await give(stack, "S1", dict(list(stock.items())[start : start + 150]))
    await arrives(stack, "S1", stock)
    lost = await stack.call("DELETE", f"{stack.marketplace}/_sandbox/stock")
    assert lost.body["locations"] == {}
    said = await sluice(stack, "resync", "demo", "S1")
    await give(stack, "S1", {"S007": 70, "NEW": 1})
    await arrives(stack, "S1", {**stock, "S007": 70, "NEW": 1})

    async def over() -> bool:
        return any(name == "resync-done" and fact["location"] == "S1" for name, fact in await facts_of(stack))

    await stack.eventually(over, "the resync is a fact")
    (done,) = [fact for name, fact in await facts_of(stack) if name == "resync-done" and fact["location"] == "S1"]
    assert f"resync {done['resync']} asked for" in said
    assert done["positions"] >= 450


async def reconciled(stack: Stack, location: str) -> dict[str, Any]:
    """Asks for a reconciliation, and returns the fact of its end."""
    said = await sluice(stack, "reconcile", "demo", location)
    (name,) = re.findall(r"rec_[0-9a-f]+", said)
    done: list[dict[str, Any]] = []

    async def over() -> bool:
        facts = await facts_of(stack)
        done[:] = [fact for kind, fact in facts if kind == "reconcile-done" and fact["reconcile"] == name]
        return bool(done)

    await stack.eventually(over, f"reconciliation {name} is a fact", timeout_s=60)

    async def shown() -> bool:
        result = (await status_of(stack, location)).get("reconcile") or {}
        return result.get("id") == name and result.get("endedMs") is not None

    # Until it is known to be over it is the one that is meant when somebody asks again.
    await stack.eventually(shown, f"the end of {name} is shown")
    return done[0]


async def test_what_drifted_at_the_marketplace_is_found_and_repaired_once(stack: Stack) -> None:
    """Lost and changed stock is a fact and is told again, and nothing else is; the status says what came of it."""
    stock = {f"D{number:03d}": number + 1 for number in range(250)}
    for start in range(0, 250, 125):
        await give(stack, "D1", dict(list(stock.items())[start : start + 125]))
    await arrives(stack, "D1", stock)
    await is_told(stack, "D1", dirty=0)
    clean = await reconciled(stack, "D1")
    assert (clean["compared"], clean["repaired"]) == (250, 0)
    before = len(await told(stack, "D1"))
    body = {"locationCode": "D1", "quantities": {"D000": None, "D007": 700}}
    changed = await stack.call("PATCH", f"{stack.marketplace}/_sandbox/stock", body=body)
    assert changed.body["locations"]["D1"]["D007"]["quantity"] == 700
    done = await reconciled(stack, "D1")
    counts = {name: done[name] for name in ("compared", "missing", "extra", "stale", "repaired", "persisting")}
    assert counts == {"compared": 250, "missing": 1, "extra": 0, "stale": 1, "repaired": 2, "persisting": 0}
    await arrives(stack, "D1", stock)
    assert sorted(sku for call in (await told(stack, "D1"))[before:] for sku in call) == ["D000", "D007"]
    found = {
        fact["channelSkuCode"]: (fact["kind"], fact["cause"], fact["wanted"], fact["found"])
        for name, fact in await facts_of(stack)
        if name == "stock-drift-found" and fact["location"] == "D1"
    }
    assert found == {"D000": ("missing", "lost", 1, None), "D007": ("stale", "changed", 8, 700)}

    async def shown() -> bool:
        lines = await sluice(stack, "status", "demo")
        return "reconciled: 1 missing, 1 stale of 250; 2 sent again" in lines

    await stack.eventually(shown, "the status shows what came of it")


async def test_what_sluice_does_not_know_is_asked_of_increff(stack: Stack) -> None:
    """In one call, in time, and what Increff does not have either is a failure."""
    body = {"locationCode": "I1", "quantities": {"FAR": 9}}
    known = await stack.call("PATCH", f"{stack.increff}/_sandbox/stock", body=body)
    assert known.status == 200, known
    await give(stack, "I2", {"NEAR": 4})

    async def both() -> bool:
        answer = await stack.as_marketplace(
            "POST", "/inventories/search-sku", {"channelSkuCodes": ["NEAR", "FAR", "NOWHERE"]}
        )
        assert answer.status == 200, answer
        found = {one["channelSkuCode"]: one["totalQuantity"] for one in answer.body["successList"]}
        return found == {"NEAR": 4, "FAR": 9} and answer.body["failureList"] == ["NOWHERE"]

    await stack.eventually(both, "the search answers from here and from Increff")
