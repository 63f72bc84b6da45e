"""Guesses are braked by address and name; a caller with the right credentials is never locked out by another one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.access import failures
from gateway.access.authentication import Marketplaces
from gateway.access.brake import ALL_NAMES, ENTRIES_MAX, TRUSTED_S, Brake, State
from gateway.http.metrics import Metrics
from tests.fakes.gateway import INCREFF, MARKETPLACE, Gateway, call_sample, gateway
from topics.configuration.networks import peer_of

ORDER = "/assure-magic2/orders/outward"
PACK = "/channels/demo/orders/pack"
SLOW: dict[str, Any] = {"auth_failures_burst": 5, "auth_failures_per_minute": 0.01}
"""Nothing comes back while a test runs, however busy the machine is."""


class Clock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def at_clock(burst: int = 3, per_minute: float = 60) -> tuple[Brake, Clock]:
    clock = Clock()
    return Brake(burst, per_minute, clock), clock


async def guess(at: Gateway, path: str = ORDER, **headers: str) -> tuple[int, Any, str | None]:
    async with at.client.post(path, json={}, headers=headers) as response:
        return response.status, await response.json(content_type=None), response.headers.get("Retry-After")


async def test_guesses_are_answered_429_before_their_secret_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(**SLOW) as at:
        wrong = {**MARKETPLACE, "authPassword": "guess"}
        found = [await guess(at, **wrong) for _ in range(50)]
        assert [status for status, *_ in found] == [401] * 5 + [429] * 45
        _status, body, retry_after = found[-1]
        assert set(body) == {"code", "message", "description"}
        assert int(retry_after or 0) > 0
        # A right guess is refused like a wrong one: nothing is compared.
        monkeypatch.setattr(Marketplaces, "find", lambda *_: pytest.fail("it was compared"))
        assert (await guess(at, **MARKETPLACE))[0] == 429
        assert b'failed_authentications_total{brake="off",side="marketplace"} 5.0' in at.metrics.text()
        assert b'failed_authentications_total{brake="on",side="marketplace"} 46.0' in at.metrics.text()


async def test_guesses_that_are_braked_do_not_fill_the_log() -> None:
    async with gateway(**SLOW, api_token="right") as at:
        for _ in range(20):
            await guess(at, **{**MARKETPLACE, "authPassword": "guess"})
            await at.client.get("/api/redrives")
    assert len([line for text in at.log for line in text.splitlines()]) == 10


async def test_guesses_from_a_trusted_address_are_counted() -> None:
    async with gateway(**SLOW) as at:
        await call_sample(at, "create-outward-order")
        known = [await guess(at, **{**MARKETPLACE, "authPassword": "guess"}) for _ in range(10)]
        other = [await guess(at, **{**MARKETPLACE, "authUsername": "nobody"}) for _ in range(10)]
        assert [status for status, *_ in known] == [401] * 5 + [429] * 5
        assert [one[:2] for one in known] == [one[:2] for one in other], "or it would be known which names are in use"
        assert (await call_sample(at, "create-outward-order"))[0] == 200
        assert b'failed_authentications_total{brake="spared",side="marketplace"} 5.0' in at.metrics.text()


def test_the_log_says_what_to_set_if_an_address_is_a_load_balancers(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    said = failures.Failures(Metrics(), clock)
    for brake in (State.OFF, State.ON, State.SPARED):
        said.note("marketplace", "192.0.2.1", "marketplace demo", brake)
    clock.s += failures.LOG_EVERY_S
    said.note("marketplace", "192.0.2.2", "marketplace demo", State.ON)
    first, second = [record.getMessage() for record in caplog.records]
    assert first == "authentication.failed calls=1 braked=0: the last from 192.0.2.1 as marketplace demo"
    assert second.startswith(
        "authentication.failed calls=3 braked=2: the last from 192.0.2.2 as marketplace demo; some"
    )
    assert "SLUICE_TRUSTED_PROXIES" in second


async def test_guesses_as_increff_are_answered_in_its_shape() -> None:
    async with gateway(**SLOW) as at:
        found = [await guess(at, PACK, **{"X-Api-Key": "guess"}) for _ in range(10)]
        assert [status for status, *_ in found] == [401] * 5 + [429] * 5
        assert set(found[-1][1]) == {"hasError", "errorMessage"}
        assert found[-1][2] is not None


async def test_guesses_of_api_tokens_are_braked() -> None:
    async with gateway(**SLOW, api_token="right") as at:
        statuses = []
        for number in range(10):
            async with at.client.get("/api/redrives", headers={"Authorization": f"Bearer {number}"}) as response:
                statuses.append(response.status)
                assert response.content_type == "application/problem+json"
        assert statuses == [401] * 5 + [429] * 5


async def test_who_was_right_is_never_refused_because_of_others_behind_its_address() -> None:
    async with gateway(**SLOW, api_token="right") as at:
        assert (await call_sample(at, "create-outward-order"))[0] == 200
        assert (await call_sample(at, "pack-order"))[0] == 200
        for number in range(200):
            await guess(at, **{**MARKETPLACE, "authUsername": f"n{number}"})
            await guess(at, f"/channels/n{number}/orders/pack", **INCREFF)
            await guess(at, **{**MARKETPLACE, "authPassword": "guess"})
            await guess(at, PACK, **{"X-Api-Key": "guess"})
        assert (await guess(at, **{**MARKETPLACE, "authUsername": "another"}))[0] == 429
        assert (await call_sample(at, "create-outward-order"))[0] == 200
        assert (await call_sample(at, "pack-order"))[0] == 200


async def test_failures_are_logged_now_and_then_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(**SLOW) as at:
        await guess(at, **{**MARKETPLACE, "authPassword": "my-secret"})
        for number in range(100):
            await guess(at, authUsername=f"my-secret-{number}", authPassword="my-secret")
            await guess(at, PACK, **{"X-Api-Key": "my-secret"})
    lines = [record.getMessage() for record in caplog.records if record.name == failures.__name__]
    assert len(lines) == 1, lines
    assert "127.0.0.1 as marketplace demo" in lines[0]
    assert "my-secret" not in b"".join(at.log).decode() + caplog.text


def test_what_was_failed_comes_back_with_time() -> None:
    brake, clock = at_clock(burst=3, per_minute=60)
    for _ in range(3):
        assert brake.wait_s("192.0.2.1", "a") == 0
        brake.failed("192.0.2.1", "a")
    assert 0 < brake.wait_s("192.0.2.1", "a") <= 1
    clock.s += 1
    assert brake.wait_s("192.0.2.1", "a") == 0
    brake.failed("192.0.2.1", "a")
    assert brake.wait_s("192.0.2.1", "a") > 0


def test_another_name_and_another_address_have_their_own() -> None:
    brake, _clock = at_clock(burst=3)
    for _ in range(3):
        brake.failed("192.0.2.1", "a")
    assert brake.wait_s("192.0.2.1", "a") > 0
    assert brake.wait_s("192.0.2.1", "b") == 0
    assert brake.wait_s("192.0.2.2", "a") == 0


def test_many_names_of_one_address_are_braked_together() -> None:
    brake, _clock = at_clock(burst=3)
    for number in range(3 * ALL_NAMES):
        assert brake.wait_s("192.0.2.1", f"n{number}") == 0
        brake.failed("192.0.2.1", f"n{number}")
    assert brake.wait_s("192.0.2.1", "one more") > 0


def test_trust_is_of_one_address_and_name_and_ends() -> None:
    brake, clock = at_clock(burst=1, per_minute=0.001)
    brake.succeeded("192.0.2.1", "a")
    for address, name in (("192.0.2.1", "a"), ("192.0.2.1", "b"), ("192.0.2.2", "a")):
        brake.failed(address, name)
    assert brake.wait_s("192.0.2.1", "a") == 0
    assert brake.wait_s("192.0.2.1", "b") > 0
    assert brake.wait_s("192.0.2.2", "a") > 0
    clock.s += TRUSTED_S
    brake.failed("192.0.2.1", "a")
    assert brake.wait_s("192.0.2.1", "a") > 0


def test_a_wrong_guess_from_a_trusted_address_meets_what_it_meets_elsewhere() -> None:
    brake, clock = at_clock(burst=3, per_minute=60)
    brake.succeeded("192.0.2.1", "in use")
    answers: dict[str, list[float]] = {"in use": [], "nobody": []}
    for _ in range(40):
        clock.s += 0.3
        for name, found in answers.items():
            # What AccessControl answers with: not looked at, or looked at and wrong.
            wait_s = brake.wait_s("192.0.2.1", name)
            found.append(wait_s or brake.failed("192.0.2.1", name))
    assert answers["in use"] == pytest.approx(answers["nobody"])
    assert any(answers["nobody"])
    assert not all(answers["nobody"])


def test_the_tables_are_bounded() -> None:
    brake, _clock = at_clock(burst=1)
    for number in range(ENTRIES_MAX + 100):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        brake.failed(address, "a")
        brake.succeeded(address, "a")
    assert all(len(table) == ENTRIES_MAX for table in (brake._addresses, brake._pairs, brake._trusted))
    assert brake.wait_s("10.0.0.0", "b") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("unknown", "unknown"),
    ],
)
def test_addresses_of_one_customer_are_one(address: str, network: str) -> None:
    assert peer_of(address) == network


async def test_a_load_balancer_says_the_address_where_it_is_trusted() -> None:
    async with gateway(**{**SLOW, "auth_failures_burst": 2}, trusted_proxies="127.0.0.0/8") as at:
        wrong = {**MARKETPLACE, "authPassword": "guess"}
        for _ in range(3):
            status, *_ = await guess(at, **wrong, **{"X-Forwarded-For": "192.0.2.1"})
        assert status == 429
        assert (await guess(at, **wrong, **{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}))[0] == 401
    lines = [orjson.loads(line) for text in at.log for line in text.splitlines()]
    assert [line["address"] for line in lines] == ["192.0.2.1"] * 2 + ["192.0.2.2"]
