"""Changes of a subscription that cross: with changes at other gateways, and with what this gateway has not read yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.api import read_your_writes
from gateway.ports import Outgoing
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, gateway
from tests.unit.gateway.api.test_subscriptions import SETTINGS, URL, add, ask, stored
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Deleted, decode_subscription


def elsewhere_deleted(at: Gateway) -> Callable[[str], None]:
    """Another gateway deletes a subscription."""
    return lambda name: at.kafka.subscriptions.apply(name.encode(), Deleted(id=name, deleted_ms=NOW_MS).encode())


@pytest.mark.parametrize("call", ["create", "verify", "change"])
async def test_what_was_deleted_while_its_endpoint_was_asked_is_not_written_again(call: str) -> None:
    async with gateway(**SETTINGS) as at:
        path = "" if call == "create" else f"/{(await add(at))['id']}"
        at.endpoints.meanwhile, before = elsewhere_deleted(at), len(at.kafka.records)
        if call == "verify":
            status, told = await ask(at, "POST", path + "/verify")
        else:
            status, told = await ask(at, "PATCH" if path else "POST", path, {"url": URL + "2"})
        assert (status, told["code"]) == (404, "UNKNOWN")
        assert len(at.kafka.records) - before == (1 if call == "create" else 0)
        assert await ask(at, "GET") == (200, {"subscriptions": [], "unreadable": []})


async def test_what_was_deleted_just_before_a_change_was_stored_stays_deleted_when_only_the_last_record_is_kept() -> (
    None
):
    async with gateway(**SETTINGS) as at:
        made = await add(at)

        def overtaken(_record: Outgoing) -> bool:
            elsewhere_deleted(at)(made["id"])
            return False

        at.kafka.refuses = overtaken
        assert (await ask(at, "PATCH", f"/{made['id']}", {"description": "x"}))[0] == 404
        assert isinstance(decode_subscription(at.kafka.records[-1].value), Deleted)
        assert not at.kafka.subscriptions.is_active(made["id"])


async def test_what_another_gateway_changed_while_an_endpoint_was_asked_is_kept() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)

        def described(name: str) -> None:
            other = stored(at, name).model_copy(update={"description": "theirs", "revision": 9})
            at.kafka.subscriptions.apply(name.encode(), other.encode())

        at.endpoints.meanwhile = described
        _, told = await ask(at, "PATCH", f"/{made['id']}", {"url": URL + "2"})
        assert (told["url"], told["description"], told["revision"]) == (URL + "2", "theirs", 10)
        _, told = await ask(at, "POST", f"/{made['id']}/verify")
        assert (told["url"], told["description"], told["state"]) == (URL + "2", "theirs", "active")


async def test_an_endpoint_that_was_asked_does_not_verify_another_url() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)

        def moved(name: str) -> None:
            other = stored(at, name).model_copy(update={"url": URL + "9", "verified_ms": None})
            at.kafka.subscriptions.apply(name.encode(), other.encode())

        at.endpoints.meanwhile = moved
        status, told = await ask(at, "POST", f"/{made['id']}/verify")
        assert (status, told["code"], stored(at, made["id"]).verified_ms) == (409, "CHANGED", None)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"description": "x"}),
        ("POST", "/rotate-secret", None),
        ("POST", "/verify", None),
        ("POST", "/disable", None),
        ("DELETE", "", None),
    ],
)
async def test_who_names_a_revision_changes_no_other_one(method: str, path: str, body: Any) -> None:
    async with gateway(**SETTINGS) as at:
        name = (await add(at))["id"]
        response = await at.client.get(f"/api/subscriptions/{name}")
        etag = response.headers["ETag"]
        assert etag == f'"{stored(at, name).revision}"'
        await ask(at, "PATCH", f"/{name}", {"description": "theirs"}, **{"If-Match": etag})
        before = stored(at, name)
        for old in (etag, f'W/"{before.revision}"', str(before.revision), '""'):
            status, told = await ask(at, method, f"/{name}{path}", body, **{"If-Match": old})
            assert (status, told["code"], stored(at, name)) == (412, "CHANGED", before)
            assert f"is at revision {before.revision}" in told["detail"]
        status, _ = await ask(at, method, f"/{name}{path}", body, **{"If-Match": f'{etag}, "{before.revision}"'})
        assert status in (200, 204)
        assert at.kafka.subscriptions.get(name) != before


async def test_a_revision_that_passes_while_the_endpoint_is_asked_is_another_one() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)

        def described(name: str) -> None:
            other = stored(at, name).model_copy(update={"description": "theirs", "revision": 9})
            at.kafka.subscriptions.apply(name.encode(), other.encode())

        at.endpoints.meanwhile = described
        etag = f'"{made["revision"]}"'
        status, told = await ask(at, "PATCH", f"/{made['id']}", {"url": URL + "2"}, **{"If-Match": etag})
        assert (status, told["code"], stored(at, made["id"]).url) == (412, "CHANGED", URL)


class LateView(SubscriptionIndex):
    """Sees nothing while it is late."""

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self._unseen: list[tuple[bytes, bytes | None]] = []

    def apply(self, key: bytes, value: bytes | None) -> None:
        if self.late:
            self._unseen.append((key, value))
        else:
            super().apply(key, value)

    def has_written(self, partition: int, offset: int) -> bool:
        return not self._unseen

    async def until_written(self, partition: int, offset: int) -> None:
        if self._unseen:
            await asyncio.Event().wait()

    def catch_up(self) -> None:
        self.late = False
        for key, value in self._unseen:
            self.apply(key, value)
        self._unseen.clear()


async def test_a_change_starts_from_the_last_one_though_it_is_not_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_your_writes, "VISIBLE_TIMEOUT_S", 0)
    view = LateView()
    async with gateway(kafka=FakeKafka(subscriptions=view), **SETTINGS) as at:
        made = await add(at)
        view.late = True
        path = f"/{made['id']}"
        assert (await ask(at, "POST", path + "/rotate-secret"))[0] == 200
        status, told = await ask(at, "PATCH", path, {"description": "ERP"})
        assert (status, len(told["secrets"]), told["revision"]) == (200, 2, made["revision"] + 2)
        assert (await ask(at, "GET", path))[1]["description"] == "ERP"
        view.catch_up()
        one = stored(at, made["id"])
        assert (one.description, len(one.secrets)) == ("ERP", 2), "the new secret was not overwritten"
        theirs = one.model_copy(update={"description": "theirs", "revision": 9})
        view.apply(one.id.encode(), theirs.encode())
        assert (await ask(at, "GET", path))[1]["description"] == "theirs", "what is seen counts again"


async def test_what_was_deleted_here_is_gone_though_it_is_not_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_your_writes, "VISIBLE_TIMEOUT_S", 0)
    view = LateView()
    async with gateway(kafka=FakeKafka(subscriptions=view), **SETTINGS) as at:
        path = f"/{(await add(at))['id']}"
        view.late = True
        assert (await ask(at, "DELETE", path))[0] == 204
        assert (await ask(at, "POST", path + "/enable"))[0] == 404
