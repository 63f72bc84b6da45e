"""Reads credentials again while the gateway works, at SIGHUP."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from gateway.access.control import AccessControl
from topics.configuration.api_tokens import load_api_tokens
from topics.configuration.changed_credentials import listed, needs_restart, with_credentials_of
from topics.configuration.channels import Channels
from topics.configuration.channels_file import load_channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings

log = logging.getLogger(__name__)


class CredentialsReload:
    """Gives AccessControl what channels.toml and the file of tokens say now: all of it, or nothing."""

    def __init__(self, settings: Settings, access: AccessControl) -> None:
        self._settings = settings
        self._access = access
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    def ask(self) -> None:
        """Begins to read. Asked while it reads, it reads once more: what it has read may be older than the question."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="reload of credentials")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            try:
                await self._read()
            except ConfigurationError as error:
                log.error("credentials.unreadable: all credentials stay as they were: %s", error)  # noqa: TRY400
            except Exception:
                log.exception("credentials.unreadable: all credentials stay as they were")

    async def _read(self) -> None:
        found, tokens = await asyncio.to_thread(self._files)
        known = self._access.channels
        if found is not None:
            changed = listed(needs_restart(known, found))
            if changed:
                log.warning("credentials.need_restart: other settings changed, and count after a restart: %s", changed)
            known = with_credentials_of(known, found)
        self._access.replace(known, tokens)
        log.info("credentials.read_again channels=%d tokens=%d", len(known.channels), len(tokens))

    def _files(self) -> tuple[Channels | None, dict[str, str]]:
        path = self._settings.channels_file
        return None if path is None else load_channels(path), load_api_tokens(self._settings)
