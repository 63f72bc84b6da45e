"""SIGHUP to real processes: credentials change while they run, nothing else does, and no file ends a process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess
from topics import http_sessions
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create

OLD, NEW = "the-former-secret", "the-present-secret"
ORDER = "/assure-magic2/orders/outward"
PACK = "/channels/shop/orders/pack"
CHANNELS = """
[increff]
url = "http://127.0.0.1:1/increff"

[channels.shop]
credentials = {{ username = "shop", password = "file:password"{also} }}
increff_credentials = {{ username = "sluice", password = "p" }}
increff_headers = {{ X-Api-Key = "{key}" }}
marketplace = {{ url = "http://127.0.0.1:1{path}" }}
{more}
"""


class Directory:
    """The files that a process reads its credentials from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self, word: str = OLD, also: str = "", key: str = "k1", path: str = "", bearer: str = "t1", more: str = ""
    ) -> None:
        second = f', password_also = "{also}"' if also else ""
        (self.path / "password").write_text(word + "\n")
        (self.path / "tokens").write_text(f"alice={bearer}\n")
        (self.path / "channels.toml").write_text(CHANNELS.format(also=second, key=key, path=path, more=more))


class Calls:
    def __init__(self, session: aiohttp.ClientSession, role: RoleProcess) -> None:
        self._session = session
        self._role = role

    async def status(self, method: str, path: str, **headers: str) -> int:
        url = self._role.admin_url if path.startswith("/api") else self._role.url
        async with self._session.request(method, url + path, json={}, headers=headers) as answer:
            return answer.status

    async def marketplace(self, password: str) -> int:
        return await self.status("POST", ORDER, authUsername="shop", authPassword=password)

    async def increff(self, key: str) -> int:
        return await self.status("POST", PACK, **{"X-Api-Key": key})

    async def api(self, token: str) -> int:
        return await self.status("GET", "/api/redrives", Authorization=f"Bearer {token}")


async def stack(kafka: Kafka, prefix: str, directory: Directory) -> Settings:
    directory.write()
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)
    await create(settings, load_channels(directory.path / "channels.toml"))
    return settings


async def test_a_gateway_takes_new_credentials_over_and_keeps_the_old_ones_when_a_file_is_bad(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    directory = Directory(tmp_path)
    settings = await stack(kafka, prefix, directory)
    tokens = {"SLUICE_API_TOKENS_FILE": str(tmp_path / "tokens"), "SLUICE_AUTH_FAILURES_BURST": "1000"}
    gateway = RoleProcess("gateway", settings, tmp_path, environment=tokens)
    await gateway.begin()
    session = http_sessions.session()
    calls = Calls(session, gateway)

    def says(text: str) -> Any:
        async def said() -> bool:
            return text in gateway.log()

        return eventually(said, what=gateway.log)

    async def reloaded(times: int) -> bool:
        return gateway.log().count("credentials.read_again") == times

    try:
        assert [await calls.marketplace(word) for word in (OLD, NEW)] == [400, 401]
        assert [await calls.increff(key) for key in ("k1", "k2")] == [400, 401]
        assert [await calls.api(token) for token in ("t1", "t2")] == [200, 401]

        # Both passwords are valid; the path of the far side waits for a restart, as does the new channel.
        directory.write(word=OLD, also=NEW, key="k2", path="/moved", bearer="t2", more='unknown_orders = "adopt"')
        gateway.send_signal(signal.SIGHUP)
        await eventually(lambda: reloaded(1), what=gateway.log)
        assert [await calls.marketplace(word) for word in (OLD, NEW)] == [400, 400]
        assert [await calls.increff(key) for key in ("k1", "k2")] == [401, 400]
        assert [await calls.api(token) for token in ("t1", "t2")] == [401, 200]
        await says("channels.shop.marketplace.url")
        await says("channels.shop.unknown_orders")

        # No bad file changes anything, and each is named.
        (tmp_path / "tokens").write_text("alice")
        gateway.send_signal(signal.SIGHUP)
        await says("tokens: entry 1: expected NAME=TOKEN")
        directory.write(word="", bearer="t2")
        gateway.send_signal(signal.SIGHUP)
        await says("password, which is empty")
        (tmp_path / "channels.toml").write_text("[increff")
        gateway.send_signal(signal.SIGHUP)
        await says("channels.toml: not valid TOML")
        (tmp_path / "channels.toml").unlink()
        gateway.send_signal(signal.SIGHUP)
        await says("channels.toml: cannot be read: No such file")
        assert [await calls.marketplace(word) for word in (OLD, NEW)] == [400, 400]
        assert [await calls.api(token) for token in ("t1", "t2")] == [401, 200]

        # The old password ends, while callers go on all the time.
        directory.write(word=NEW, bearer="t2")
        going_on = asyncio.create_task(_go_on(calls))
        for _ in range(20):
            gateway.send_signal(signal.SIGHUP)
        await eventually(lambda: _is(calls.marketplace(OLD), 401))
        assert await going_on == {400}
        assert await calls.marketplace(NEW) == 400
        assert OLD not in gateway.log()
    finally:
        await session.close()
        assert await gateway.end(signal.SIGTERM) == 0


async def _go_on(calls: Calls) -> set[int]:
    return {await calls.marketplace(NEW) for _ in range(100)}


async def _is(call: Any, status: int) -> bool:
    return bool(await call == status)


async def test_no_role_dies_of_a_hang_up(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    settings = await stack(kafka, prefix, directory)
    said = {
        "orders": "orders has no credentials",
        "inventory": "inventory has no credentials",
        "delivery": "credentials.read_again after SIGHUP",
    }
    roles = {name: RoleProcess(name, settings, tmp_path) for name in said}
    try:
        await asyncio.gather(*(role.begin() for role in roles.values()))
        for name, role in roles.items():
            role.send_signal(signal.SIGHUP)

            async def answered(name: str = name, role: RoleProcess = role) -> bool:
                return said[name] in role.log()

            await eventually(answered, what=role.log)
        (tmp_path / "password").unlink()
        roles["delivery"].send_signal(signal.SIGHUP)

        async def named() -> bool:
            return "credentials.unreadable after SIGHUP" in roles["delivery"].log()

        await eventually(named, what=roles["delivery"].log)
    finally:
        ends = await asyncio.gather(*(role.end(signal.SIGTERM) for role in roles.values()))
    assert ends == [0, 0, 0]


async def test_a_hang_up_before_kafka_is_there_is_heard_afterwards(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    Directory(tmp_path).write()
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)
    gateway = RoleProcess("gateway", settings, tmp_path)
    try:
        begun = asyncio.create_task(gateway.begin())
        await _says(gateway, "waiting for Kafka")
        gateway.send_signal(signal.SIGHUP)
        await create(settings, load_channels(tmp_path / "channels.toml"))
        await begun
        await _says(gateway, "credentials.read_again")
    finally:
        assert await gateway.end(signal.SIGTERM) == 0


async def _says(role: RoleProcess, text: str) -> None:
    def said() -> bool:
        return text in role.log()

    await eventually(said, what=role.log)
