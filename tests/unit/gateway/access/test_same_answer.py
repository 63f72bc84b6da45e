"""A caller that is not authenticated learns nothing of what is configured; one that is may be told more."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.access import authentication
from gateway.access.authentication import Marketplaces, StaticHeaders
from gateway.access.fingerprints import fingerprint
from tests.fakes.gateway import BOOTSTRAP, INCREFF, MARKETPLACE, Gateway, channels_with, gateway
from topics.api.routes import full_path
from topics.configuration.channels import Channels
from topics.contract.touchpoints import BY_NAME

ORDER = "/assure-magic2/orders/outward"
PACK = "/channels/demo/orders/pack"
CREDENTIALS = "/channels/demo/credentials"

PASSWORD = {"authPassword": "guess"}
MARKETPLACE_GUESSES: list[dict[str, str]] = [
    {},
    {"authUsername": "demo"},
    PASSWORD,
    {"authUsername": "demo", **PASSWORD},
    {"authUsername": "nobody", **PASSWORD},
    {"authUsername": "demo", **PASSWORD, "authDomainName": "demo"},
    {"authUsername": "nobody", **PASSWORD, "authDomainName": "demo"},
    {"authUsername": "bare", **PASSWORD},
    {"authUsername": "demo", "authPassword": "demo-secret"},
    {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": "wrong"},
    {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": ""},
    {"authUsername": "", "authPassword": "", "authDomainName": ""},
]
INCREFF_GUESSES: list[tuple[str, dict[str, str]]] = [
    (path.format(channel=channel), headers)
    for path in ("/channels/{channel}/orders/pack", "/channels/{channel}/inventory", "/channels/{channel}/credentials")
    for channel in ("demo", "bare", "nobody", "%00", "x" * 300)
    for headers in ({}, {"X-Api-Key": "guess"}, {"X-Bootstrap-Key": "guess"}, {"X-Other": "demo-increff"})
]


def two_channels() -> Channels:
    """`bare` has no domain, another header pair, and no Get Credential."""
    channels = channels_with(second="bare", off=["create-manifest"])
    bare = channels.channels["bare"]
    other = bare.model_copy(
        update={"increff_headers": {"X-Two": bare.credentials.password, "X-Three": bare.credentials.password}}
    ).model_copy(update={"get_credential": None, "off": frozenset()})
    return channels.model_copy(update={"channels": {**channels.channels, "bare": other}})


async def answer(at: Gateway, method: str, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    async with at.client.request(method, path, headers=headers, json={}) as response:
        told = {name: value for name, value in response.headers.items() if name != "Date"}
        return response.status, await response.json(), told


async def test_all_wrong_marketplaces_get_one_answer() -> None:
    async with gateway(channels=two_channels(), auth_failures_burst=1_000) as at:
        answers = [await answer(at, "POST", ORDER, headers) for headers in MARKETPLACE_GUESSES]
        assert all(one == answers[0] for one in answers), answers
        assert answers[0][0] == 401
        assert (await answer(at, "POST", ORDER, MARKETPLACE))[0] == 400


async def test_all_wrong_callers_as_increff_get_one_answer() -> None:
    async with gateway(channels=two_channels(), auth_failures_burst=1_000) as at:
        methods = {"pack": "POST", "inventory": "PUT", "credentials": "GET"}
        answers = [
            await answer(at, methods[path.rpartition("/")[2]], path, headers) for path, headers in INCREFF_GUESSES
        ]
        assert all(one == answers[0] for one in answers), answers
        assert answers[0][0] == 401
        assert (await answer(at, "POST", PACK, INCREFF))[0] == 400
        assert (await answer(at, "GET", CREDENTIALS, BOOTSTRAP))[0] == 200


async def test_a_caller_that_is_authenticated_is_told_what_is_off() -> None:
    async with gateway(channels=two_channels()) as at:
        two = {"X-Two": "s", "X-Three": "s"}
        assert (await answer(at, "POST", "/channels/bare/orders/pack", two))[0] == 400
        assert (await answer(at, "GET", "/channels/bare/credentials", two))[0] == 404
        assert (await answer(at, "GET", "/channels/demo/credentials", INCREFF))[0] == 401
        status, told, _ = await answer(
            at, "POST", full_path(BY_NAME["create-manifest"]).format(channel="demo"), INCREFF
        )
        assert (status, "create-manifest is off" in told["errorMessage"]) == (404, True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many header values went into each fingerprint."""
    counted: list[int] = []

    def counting(parts: Any) -> bytes:
        found = list(parts)
        counted.append(len(found))
        return fingerprint(found)

    monkeypatch.setattr(authentication, "fingerprint", counting)
    return counted


def test_known_and_unknown_names_take_the_same_steps(steps: list[int]) -> None:
    channels = two_channels().channels
    marketplaces = Marketplaces(two_channels())
    static = StaticHeaders({name: (channel.increff_headers, {}) for name, channel in channels.items()})
    taken = []
    for headers in MARKETPLACE_GUESSES:
        steps.clear()
        assert marketplaces.find(CIMultiDict(headers)) is None
        taken.append(tuple(steps))
    assert len(set(taken)) == 1
    taken = []
    for name in ("demo", "bare", "nobody"):
        for headers in ({}, {"X-Api-Key": "guess"}, {"X-Two": "s"}):
            steps.clear()
            assert not static.accept(name, CIMultiDict(headers))
            taken.append(tuple(steps))
    assert len(set(taken)) == 1


async def test_two_secrets_are_valid_at_a_time() -> None:
    channels = channels_with(
        credentials={"username": "demo", "password": "old", "password_also": "new", "domain": "demo"},
        increff_headers={"X-Api-Key": "old"},
        increff_headers_also={"X-Api-Key": "new", "X-More": "m"},
        get_credential={"bootstrap_headers": {"X-B": "old"}, "bootstrap_headers_also": {"X-B": "new"}},
    )
    async with gateway(channels=channels) as at:
        for password, expected in (("old", 400), ("new", 400), ("other", 401), ("", 401)):
            assert (await answer(at, "POST", ORDER, {**MARKETPLACE, "authPassword": password}))[0] == expected
        for headers, expected in (
            ({"X-Api-Key": "old"}, 400),
            ({"X-Api-Key": "new"}, 401),
            ({"X-Api-Key": "new", "X-More": "m"}, 400),
            ({"X-More": "m"}, 401),
        ):
            assert (await answer(at, "POST", PACK, headers))[0] == expected
        for secret, expected in (("old", 200), ("new", 200), ("other", 401)):
            assert (await answer(at, "GET", CREDENTIALS, {"X-B": secret}))[0] == expected
