"""`sluice order` says first what an order waits for and which command pushes it on; `sluice orders` lists by cause."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner

from sluice.cli.main import main
from tests.fakes.gateway import FakeKafka, FakeLags, gateway, silent
from tests.support.journal.causes import BEHIND, CASES, PARTITIONS, order, put_rows
from tests.support.journal.database import file_url, played_journal
from topics.api.journal.orders import OrderList
from topics.api.journal.story import StoryDocument

DONE = order("O-done", "HANDED_OVER", units_open=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def journal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory = tmp_path_factory.mktemp("journal")
    async with played_journal(directory, orders=0) as engine:
        await put_rows(engine, [row for case in (*CASES, BEHIND) for row in case.rows] + DONE)
        yield file_url(directory)


async def sluice(url: str, *arguments: str) -> tuple[int, str]:
    def run() -> Any:
        return CliRunner().invoke(main, [*arguments, "--url", url])

    done = await asyncio.to_thread(run)
    return done.exit_code, done.output


def one_line(text: str) -> str:
    return " ".join(text.split())


async def test_the_sentence_the_end_and_the_command_of_each_cause(journal: str) -> None:
    """The orders role is silent, so the story is all that is known, and it is enough."""
    lags = FakeLags()
    kafka = FakeKafka(decide=silent)
    async with gateway(kafka=kafka, journal_url=journal, partitions=PARTITIONS, lags=lags) as at:
        url = at.client.admin_url()
        for case in CASES:
            lags.lag = case.lag
            code, output = await sluice(url, "order", case.code)
            said = one_line(output)
            assert code == 0
            assert f"It waits: {case.cause}" in said
            assert case.says in said
            assert ("until " in said) or case.until_ms is None
            assert "What to do" in said
            told = StoryDocument(**await (await at.client.get(f"/api/orders/{case.code}/story")).json())
            assert told.wait is not None
            for action in told.wait.actions:
                assert one_line(action.command or action.does) in said
            assert ("Where its" in said) or not case.rows
            assert "The orders role was not heard" in said


async def test_lists_by_cause_and_says_that_there_are_more(journal: str) -> None:
    async with gateway(journal_url=journal, partitions=PARTITIONS) as at:
        url = at.client.admin_url()
        code, output = await sluice(url, "orders", "--cause", "given-up")
        assert code == 0
        assert "O-held-lane  demo  RECEIVED" in output
        assert "given-up: create-outward-order to Increff was given up" in output
        _, output = await sluice(url, "orders", "--limit", "1")
        assert "there are more: --limit N shows them" in output
        _, output = await sluice(url, "orders", "--older-than", "1h")
        assert output == "no order fits\n"
        _, output = await sluice(url, "orders", "--due-within", "2h", "--json")
        assert [one.code for one in OrderList(**json.loads(output)).orders] == ["O-far"]
        code, output = await sluice(url, "orders", "--older-than", "soon")
        assert (code, "write 90s, 15m, 2h or 3d" in output) == (2, True)
        code, output = await sluice(url, "orders", "--cause", "weather")
        assert (code, "cause: must be one of role-behind, early" in output) == (2, True)


async def test_watching_ends_when_the_order_waits_for_nothing(journal: str) -> None:
    async with gateway(journal_url=journal, partitions=PARTITIONS) as at:
        url = at.client.admin_url()
        code, output = await sluice(url, "order", "O-done", "--watch")
        assert code == 0
        assert "Order O-done of demo is HANDED_OVER" in output
        assert "It waits for nothing." in output
        code, output = await sluice(url, "order", "O-done", "--watch", "--json")
        assert StoryDocument(**json.loads(output)).wait is None
        assert (await sluice(url, "order", "no-such", "--watch"))[0] == 1


async def test_without_a_journal_the_orders_role_is_shown_alone(tmp_path: Any) -> None:
    async with gateway(journal_url=file_url(tmp_path)) as at:
        _, output = await sluice(at.client.admin_url(), "order", "O-1")
        assert "no story: " in output
        assert "SLUICE_JOURNAL_URL" in output
