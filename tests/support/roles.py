"""A role as a process of its own, which a test may end in any way and begin again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import aiohttp

from sluice.dev.local.ports import free_ports
from tests.support import crash_points
from tests.support.eventually import eventually
from topics import http_sessions
from topics.configuration.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60


def crash_environment(armed: Path, points: ModuleType = crash_points) -> dict[str, str]:
    """The environment of a role that dies where this file says (`points`: the package with its sitecustomize)."""
    path = [points.__path__[0], *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "SLUICE_TEST_CRASH": str(armed)}


class RoleProcess:
    """`sluice run NAME` with the channels of `directory`/channels.toml; its log and state stay there from run to run.

    `admin_url`: of its admin port. `url`: of a gateway's port for marketplaces; of another role the same.

    `instance` tells workers of one role apart; `environment` is added to this process's own; `files`: how many it may
    open.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        directory: Path,
        *,
        instance: str = "0",
        environment: Mapping[str, str] | None = None,
        files: int | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._directory = directory
        self._instance = instance
        self._environment = dict(environment or {})
        self._files_max = files
        self._files = name if instance == "0" else f"{name}-{instance}"
        self._process: asyncio.subprocess.Process | None = None
        self.url = self.admin_url = ""

    async def begin(self, ready_s: float = READY_S) -> None:
        """Returns when it is ready. Raises AssertionError when it is not within `ready_s`."""
        await self.start()
        await self.ready(ready_s)

    async def ready(self, within_s: float = READY_S) -> None:
        """Returns when it is ready."""
        await eventually(self._is_ready, within_s, what=self.log)

    async def start(self) -> None:
        """Returns at once: it may end before it is ready."""
        port, admin = free_ports(2)
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.url = f"http://127.0.0.1:{port}" if self._name == "gateway" else self.admin_url
        env = os.environ | {
            "SLUICE_KAFKA": self._settings.kafka,
            "SLUICE_TOPIC_PREFIX": self._settings.topic_prefix,
            "SLUICE_PARTITIONS": str(self._settings.partitions),
            "SLUICE_CHANNELS_FILE": str(self._directory / "channels.toml"),
            "SLUICE_STATE_DIR": str(self._directory / f"state-{self._files}"),
            "SLUICE_ADMIN_PORT": str(admin),
            "SLUICE_GATEWAY_PORT": str(port),
            "SLUICE_INSTANCE": self._instance,
            **self._environment,
        }
        with (self._directory / f"{self._files}.log").open("ab") as log:
            command = [sys.executable, "-m", "sluice", "run", self._name]
            if self._files_max is not None:
                command = ["/bin/sh", "-c", f'ulimit -n {self._files_max}; exec "$@"', "sh", *command]
            self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=log, stderr=log)

    def send_signal(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)

    async def end(self, how: signal.Signals) -> int | None:
        """Its exit code; None when it did not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.returncode is None:
            process.send_signal(how)
        return await process.wait()

    async def ended(self, within_s: float = READY_S) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        process = self._process
        await eventually(lambda: process.returncode is not None, within_s, what=self.log)
        return await process.wait()

    def log(self) -> str:
        path = self._directory / f"{self._files}.log"
        return path.read_text(errors="replace")[-40_000:] if path.exists() else ""

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log()
        try:
            async with (
                http_sessions.session() as session,
                session.get(f"{self.url}/ready") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False
