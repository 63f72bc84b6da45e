"""`sluice up` from start to end: lock, start, topics, table, changes, stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sluice.demo_channels import demo_channels
from sluice.dev.local import janitor
from sluice.dev.local.stack import STAGES, UpOptions, check_surroundings, make_units
from sluice.dev.local.status import Status, write_targets
from sluice.dev.local.supervisor import Supervisor
from sluice.dev.local.terminal import Follower, TableRow, change, say, table
from sluice.errors import StartError
from topics.configuration.channels import Channels
from topics.configuration.channels_file import load_channels
from topics.configuration.private_files import UMASK, make_private, tighten_all
from topics.configuration.settings import Settings, load_settings

LOCK_TIMEOUT_S = 1.0
"""How long the lock may still be held: the janitor of a killed `sluice up` has it for some milliseconds more."""
_POLL_S = 0.02
_FOLLOW_S = 0.2
LATE_S = 15.0
"""A usual start takes less; a longer one reports at this interval what it waits for."""
_TAIL_LINES = 12
TOPICS_TIMEOUT_S = 60.0
"""Longest time to make the topics: a broker that ends meanwhile is restarted within seconds."""
_TOPICS_RETRY_S = 0.2


def up(options: UpOptions) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code. Raises StartError or ConfigurationError at the start."""
    os.umask(UMASK)
    load_channels(options.channels, default=demo_channels(options.increff_port, options.marketplace_port))
    with _locked(options.data_dir) as lock:
        _forget(options.status)
        with _cleaned_after(options.status, lock):
            return asyncio.run(_up(options))


@contextmanager
def _locked(data_dir: Path) -> Iterator[IO[str]]:
    """Lock the data directory for one `sluice up`; the kernel releases the lock however the process ends."""
    try:
        make_private(data_dir)
        lock = (data_dir / "up.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise StartError(f"--data-dir {data_dir}: cannot be used: {error.strerror}") from error
    with lock:
        _acquire(lock, data_dir)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        tighten_all(data_dir, not_below=("kafka",))
        yield lock


def _acquire(lock: IO[str], data_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
                used = f"{data_dir} is in use by another `sluice up` (pid {owner})"
                raise StartError(f"{used}: end it, or choose another with --data-dir") from error
        time.sleep(_POLL_S)


def _forget(status: Path) -> None:
    """Empty the status file before the janitor starts: an earlier run wrote pids that may be other programs' now."""
    try:
        Status.forget(status)
    except OSError as error:
        raise StartError(f"{status}: cannot be written: {error.strerror}") from error


@contextmanager
def _cleaned_after(status: Path, lock: IO[str]) -> Iterator[None]:
    """Run a janitor beside this process, in case this process is killed."""
    command = [sys.executable, "-S", "-E", str(Path(janitor.__file__)), str(status)]
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command, stdin=subprocess.PIPE, pass_fds=(lock.fileno(),), start_new_session=True
    ):
        yield


async def _up(options: UpOptions) -> int:
    began = time.monotonic()
    await check_surroundings(options)
    units, lines = make_units(options)
    write_targets(options.data_dir, lines)
    status = Status(options.status, [unit.name for unit in units if unit.name != "demo"])
    supervisor = Supervisor(units, STAGES, status, change)
    stop = _on_signals(supervisor)
    say("starting Kafka and the roles ..." if options.kafka is None else "starting the roles ...")
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(supervisor.run(), name="supervisor"),
        asyncio.create_task(_open(options, supervisor, lines, began), name="start"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    follower = asyncio.create_task(_follow(options)) if options.demo else None
    try:
        await _first_end(tasks)
    finally:
        code = await _close(supervisor, [*tasks, *([follower] if follower else [])], stop)
    return _explain(options, supervisor.failure) if supervisor.failure else code


def _on_signals(supervisor: Supervisor) -> asyncio.Event:
    """Return an event that the first signal sets, for a clean end. A second signal kills everything at once."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    return stop


async def _first_end(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Return when a stop was asked for or a task ended that should run on; raise the exception of a task."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if any(task.get_name() != "start" for task in done):
            return


async def _open(options: UpOptions, supervisor: Supervisor, lines: list[TableRow], began: float) -> None:
    """Make the topics as soon as Kafka serves; print the table when every role is ready."""
    patience = asyncio.create_task(_report_waiting(supervisor))
    try:
        await supervisor.wait_for("kafka")
        channels = load_channels(options.channels, default=demo_channels())
        await make_topics(load_settings(kafka=options.bootstrap), channels)
        await supervisor.wait_ready()
    finally:
        patience.cancel()
    table(lines, time.monotonic() - began)


async def make_topics(settings: Settings, channels: Channels, timeout_s: float = TOPICS_TIMEOUT_S) -> None:
    """Make the topics that do not exist. Raises StartError in Kafka's words, at once when a retry cannot help.

    A broker that is gone is worth a retry: the supervisor starts it again.
    """
    # Imported here, while Kafka starts: the Kafka client is the largest import of this process.
    from aiokafka.errors import KafkaError, KafkaTimeoutError  # noqa: PLC0415

    from topics.kafka.admin import create  # noqa: PLC0415

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await create(settings, channels)
        except (KafkaError, OSError) as error:
            temporary = isinstance(error, (KafkaTimeoutError, OSError)) or getattr(error, "retriable", False)
            if not temporary or time.monotonic() > deadline:
                tried = f" after {timeout_s:.0f} s" if temporary else ""
                reason = str(error) or type(error).__name__
                raise StartError(f"Kafka at {settings.kafka} does not make the topics{tried}: {reason}") from error
        await asyncio.sleep(_TOPICS_RETRY_S)


async def _report_waiting(supervisor: Supervisor) -> None:
    while True:
        await asyncio.sleep(LATE_S)
        for name, reason in supervisor.waiting_for().items():
            change(name, f"not ready yet: {reason}")


async def _follow(options: UpOptions) -> None:
    follower = Follower(options.log("demo"), "demo")
    while True:
        follower.show()
        await asyncio.sleep(_FOLLOW_S)


async def _close(supervisor: Supervisor, tasks: list[asyncio.Task[object]], stop: asyncio.Event) -> int:
    began = time.monotonic()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):  # _first_end has raised the error that ended the run
            await task
    if stop.is_set():
        say("\nstopping ...")
    await supervisor.stop()
    if stop.is_set():
        say(f"stopped ({time.monotonic() - began:.1f} s)")
    return 0


def _explain(options: UpOptions, failure: str) -> int:
    say(f"\n{failure}")
    log = options.log(failure.split(" ", 1)[0])
    say(f"its log, {log}, ends with")
    try:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError as error:
        tail = [f"(cannot be read: {error.strerror})"]
    for line in tail:
        say(f"  {line}")
    return 1
