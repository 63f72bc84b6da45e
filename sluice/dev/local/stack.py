"""Units of `sluice up` for the supervisor: Kafka, the roles, the sandboxes and the demo."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sluice.demo_channels import demo_channels
from sluice.dev.local.broker import HOST, Broker
from sluice.dev.local.jars import KAFKA_VERSION, ensure_jars, find_java
from sluice.dev.local.kafka_wire import first_alive
from sluice.dev.local.ports import free_ports, is_free
from sluice.dev.local.probe import ask_ready
from sluice.dev.local.processes import spawn
from sluice.dev.local.role_environment import OPEN, has_token, role_environment
from sluice.dev.local.supervisor import Probe, Stage, Unit
from sluice.dev.local.terminal import TableRow, say
from sluice.errors import StartError
from topics.compiled import FORM
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import GATEWAYS_MAX, load_settings

STREAMS = ("orders", "delivery", "inventory", "journal")
SANDBOXES = ("increff", "marketplace")


def gateway_name(number: int) -> str:
    """The name of one of several gateways."""
    return f"gateway-{number}"


KAFKA_STOP_S = 15.0
"""Kafka ends within a second or two; on a busy machine it takes longer to write its logs. If it is killed meanwhile, it
loses nothing, but the next start reads the logs again, which takes longer than this wait."""
STAGES = (
    # The processes that bring work end first, and Kafka, which the others need, last. Roles that hang are gone after
    # 7.5 s. The gateway lets waiting callers wait five seconds more; verdicts come in the first second of these.
    Stage(frozenset({"demo", "gateway", *map(gateway_name, range(GATEWAYS_MAX))}), grace_s=6.0, lead_s=1.0),
    Stage(frozenset(STREAMS), grace_s=5.5),
    Stage(frozenset({f"sandbox-{side}" for side in SANDBOXES}), grace_s=1.0),
    Stage(frozenset({"kafka"}), grace_s=KAFKA_STOP_S),
)
LOG_BYTES_MAX = 8 << 20
"""A larger log is set aside when its role starts; one old log is kept."""
_ADDRESS = re.compile(r"\S+:\d{1,5}")
_PORT_TIMEOUT_S = 3.0
"""How long a port may still be in use: the kernel closes the ports of a killed `sluice up` within moments."""


@dataclass(frozen=True)
class UpOptions:
    """The options of `sluice up`."""

    data_dir: Path
    demo: bool
    port: int
    admin_port: int
    gateways: int
    kafka_port: int
    kafka: str | None
    increff_port: int
    marketplace_port: int
    channels: Path | None

    @property
    def bootstrap(self) -> str:
        return self.kafka or f"{HOST}:{self.kafka_port}"

    @property
    def url(self) -> str:
        return _url(self.port)

    @property
    def admin_url(self) -> str:
        return _url(self.admin_port)

    @property
    def status(self) -> Path:
        return self.data_dir / "status.json"

    @property
    def has_sandboxes(self) -> bool:
        return self.channels is None

    def sandbox_port(self, side: str) -> int:
        return self.increff_port if side == "increff" else self.marketplace_port

    def log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"


def make_units(options: UpOptions) -> tuple[list[Unit], list[TableRow]]:
    """Return everything to run, in the order of its start, and the rows that the terminal shows."""
    roles = _Roles(options)
    admin = dict(zip(STREAMS, free_ports(len(STREAMS)), strict=True))
    gateways, gateway_rows = roles.gateways()
    units = [_kafka(options), *gateways]
    channels = load_channels(options.channels, default=demo_channels()).channels
    doors = " ".join(f"/channels/{name}" for name in channels)
    bases = " ".join(base or "/" for base in load_settings().marketplace_bases)
    lines = [
        TableRow("gateway", options.url, f"marketplaces: {bases}   Increff: {doors}   /openapi.json"),
        *gateway_rows,
        TableRow("modules", "compiled" if FORM.compiled else "interpreted", FORM.why),
        TableRow("kafka", options.bootstrap, "elsewhere" if options.kafka else f"Apache Kafka {KAFKA_VERSION}"),
    ]
    for name, port in admin.items():
        units.append(roles.unit(name, ["--admin-port", str(port), "--state-dir", str(options.data_dir / name)], port))
        lines.append(TableRow(name, _url(port), "/ready   /metrics"))
    for side in SANDBOXES if options.has_sandboxes else ():
        port = options.sandbox_port(side)
        units.append(roles.sandbox(side, port))
        lines.append(TableRow(f"sandbox-{side}", _url(port), "/_sandbox/requests   /_sandbox/stock"))
    if options.demo:
        units.append(roles.demo())
    return units, lines


class _Roles:
    """Maker of the units that run `python -m sluice ...`."""

    def __init__(self, options: UpOptions) -> None:
        self._options = options
        self._environment = role_environment(options.data_dir, has_sandboxes=options.has_sandboxes, given=os.environ)
        if options.channels is not None:
            self._far_sides = ["--channels", str(options.channels.absolute())]
        else:
            ports = (options.increff_port, options.marketplace_port)
            self._far_sides = ["--increff-port", str(ports[0]), "--marketplace-port", str(ports[1])]

    @property
    def takes_api_calls(self) -> bool:
        return has_token(self._environment) or OPEN in self._environment

    def gateways(self) -> tuple[list[Unit], list[TableRow]]:
        """One gateway, or several on its port, each with an admin port of its own: the first one has that of the
        options, where commands look for it."""
        port, count = self._options.port, self._options.gateways
        units, rows = [], []
        for number, admin in enumerate([self._options.admin_port, *free_ports(count - 1)]):
            name, row = ("gateway", "admin") if count == 1 else (gateway_name(number), gateway_name(number))
            # The count is said outright, so that SLUICE_GATEWAYS and its kin do not count beside the option.
            place = ["--port", str(port), "--gateways", str(count), "--number", str(number)]
            asked = port if count == 1 else admin
            units.append(self.unit(name, [*place, "--admin-port", str(admin)], asked, role="gateway"))
            api = "/api" if self.takes_api_calls else "/api: closed, set SLUICE_API_TOKEN"
            rows.append(TableRow(row, _url(admin), f"/ready   /metrics   {api}"))
        return units, rows

    def unit(self, name: str, arguments: list[str], port: int, role: str = "") -> Unit:
        """`role`: where it is not the name."""
        command = ["run", role or name, "--kafka", self._options.bootstrap, *self._far_sides, *arguments]
        return Unit(name, self._starter(name, command), _http(port, "/ready"))

    def sandbox(self, side: str, port: int) -> Unit:
        name = f"sandbox-{side}"
        data = self._options.data_dir / name
        command = ["sandbox", side, "--port", str(port), "--url", self._options.url, "--data-dir", str(data)]
        if self._options.demo and side == "increff":
            command.append("--auto")  # without the demo, nothing moves on its own
        return Unit(name, self._starter(name, command), _http(port, "/_sandbox/ready"))

    def demo(self) -> Unit:
        urls = ["--url", self._options.url, "--admin-url", self._options.admin_url]
        ports = ["--increff-port", str(self._options.increff_port)]
        return Unit("demo", self._starter("demo", ["demo", *urls, *ports]), _always, last=True)

    def _starter(self, name: str, arguments: list[str]) -> Callable[[], subprocess.Popen[bytes]]:
        def start() -> subprocess.Popen[bytes]:
            log = self._options.log(name)
            rotate(log)
            with log.open("ab") as output:
                return spawn([sys.executable, "-u", "-m", "sluice", *arguments], log=output, env=self._environment)

        return start


def _kafka(options: UpOptions) -> Unit:
    async def probe() -> str | None:
        alive = await asyncio.to_thread(first_alive, options.bootstrap, 1.0)
        return None if alive else "does not answer"

    if options.kafka is not None:
        return Unit("kafka", None, probe)
    jars = ensure_jars(say)
    broker = Broker(options.data_dir / "kafka", options.kafka_port, log=options.log("kafka"))

    def start() -> subprocess.Popen[bytes]:
        rotate(broker.log)
        return broker.spawn(jars)

    return Unit("kafka", start, probe)


def rotate(log: Path) -> None:
    """Set a large log aside, so that logs stay bounded over any number of starts."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))


async def check_surroundings(options: UpOptions) -> None:
    """Raise StartError for anything that would keep a role from starting, before anything is started."""
    if options.gateways > GATEWAYS_MAX:
        why = "as many as `replies` has partitions"
        raise StartError(f"--gateways {options.gateways}: at most {GATEWAYS_MAX} share a port, {why}")
    if options.gateways > 1 and sys.platform != "linux":
        raise StartError("--gateways: several gateways share a port only on Linux")
    wanted = {"--port": options.port, "--admin-port": options.admin_port}
    if options.kafka is None:
        find_java()
        wanted["--kafka-port"] = options.kafka_port
    elif not all(_ADDRESS.fullmatch(address.strip()) for address in options.kafka.split(",")):
        raise StartError(f"--kafka {options.kafka}: expected HOST:PORT")
    elif not await asyncio.to_thread(first_alive, options.kafka):
        raise StartError(f"--kafka {options.kafka}: no Kafka answers there")
    if options.has_sandboxes:
        wanted |= {f"--{side}-port": options.sandbox_port(side) for side in SANDBOXES}
    for option, port in wanted.items():
        same = [other for other, taken in wanted.items() if taken == port and other != option]
        if same:
            raise StartError(f"{option} and {same[0]} are both {port}: give each a port of its own")
        await _free(option, port)


async def _free(option: str, port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _PORT_TIMEOUT_S
    while not is_free(port):
        if asyncio.get_running_loop().time() > deadline:
            advice = f"end it, or start with `sluice up {option} PORT` (`make run UP='{option} PORT'`)"
            raise StartError(f"port {port} is in use by another program: {advice}")
        await asyncio.sleep(0.1)


def _http(port: int, path: str) -> Probe:
    async def probe() -> str | None:
        return await ask_ready(port, path)

    return probe


async def _always() -> str | None:
    return None


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
