"""A whole Sluice, as a user starts it (`sluice up`), and the far sides as a test sees them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from sluice.dev.local.ports import free_ports
from topics import http_sessions

MARKETPLACE_HEADERS = {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": "demo"}
INCREFF_HEADERS = {"X-Api-Key": "demo-increff"}
PARTITIONS = 2
"""More than one is what matters; a start with the default of eight costs a third more, and has a test of its own."""
READY_TIMEOUT_S = 90.0
"""A first start on a loaded two-core machine, with room; a start usually takes a tenth of it."""

STOP_TIMEOUT_S = 30.0
"""What Ctrl-C promises is less, and proven of the supervisor's stages; this is for a machine that is busy."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Stack:
    """`sluice up` in a data directory of its own, on ports of its own; few partitions unless told otherwise."""

    def __init__(self, data_dir: Path, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        # Tests look again and again where an order is, more often than anybody who reads the API.
        usual = {"SLUICE_PARTITIONS": str(PARTITIONS), "SLUICE_API_READS_PER_S": "1000"}
        self.environment = {**usual, **(environment or {})}
        self.port, self.admin_port, self.kafka_port, self.increff_port, self.marketplace_port = free_ports(5)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.parent / f"{data_dir.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def increff(self) -> str:
        return f"http://127.0.0.1:{self.increff_port}"

    @property
    def marketplace(self) -> str:
        return f"http://127.0.0.1:{self.marketplace_port}"

    def start(self, *options: str) -> None:
        command = [
            *(sys.executable, "-m", "sluice", "up"),
            *("--data-dir", str(self.data_dir)),
            *("--port", str(self.port)),
            *("--admin-port", str(self.admin_port)),
            *("--kafka-port", str(self.kafka_port)),
            *("--increff-port", str(self.increff_port)),
            *("--marketplace-port", str(self.marketplace_port)),
            *options,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment(options))
        self.wait_ready()

    def _environment(self, options: tuple[str, ...]) -> dict[str, str]:
        """With sandboxes, `sluice up` opens /api by itself; with channels of one's own it does not."""
        opened = {"SLUICE_API_OPEN": "true"} if "--channels" in options else {}
        return {**os.environ, **opened, **self.environment}

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=STOP_TIMEOUT_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def status(self) -> dict[str, Any]:
        try:
            status: dict[str, Any] = json.loads((self.data_dir / "status.json").read_text())
        except FileNotFoundError:
            return {"ready": False, "roles": {}}
        return status

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"sluice up ended with {self.process.returncode}:\n{self.tail()}")
            if self.status()["ready"]:
                return
            time.sleep(0.1)
        raise AssertionError(f"not ready in {timeout_s} s: {self.status()}\n{self.tail()}")

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-30:]
        for log in sorted((self.data_dir / "logs").glob("*.log")):
            lines += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(lines)

    def kill(self, role: str) -> int:
        """SIGKILL to one role; returns the pid that died."""
        pid = int(self.status()["roles"][role]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def pause(self, role: str) -> Callable[[], None]:
        """SIGSTOP to one role (as good as down, and the supervisor does not restart it); call the result to go on."""
        pid = int(self.status()["roles"][role]["pid"])
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)

    async def restarted(self, role: str, old_pid: int, timeout_s: float = 60.0) -> None:
        def back() -> bool:
            entry = self.status()["roles"].get(role, {})
            return bool(entry.get("ready")) and entry.get("pid") != old_pid

        await self.eventually(_as_async(back), f"{role} is back", timeout_s)

    async def call(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        raw: bytes | None = None,
        timeout_s: float = 60.0,
    ) -> Answer:
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            http_sessions.session(timeout=timeout) as session,
            session.request(
                method,
                url,
                data=data,
                params=params,
                headers={"Content-Type": "application/json", **(headers or {})},
            ) as response,
        ):
            text = await response.text()
            try:
                parsed = json.loads(text) if text else None
            except json.JSONDecodeError:
                parsed = text
            return Answer(response.status, parsed, dict(response.headers))

    async def as_marketplace(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        headers = more.pop("headers", MARKETPLACE_HEADERS)
        return await self.call(method, f"{self.url}/assure-magic2{path}", body=body, headers=headers, **more)

    async def as_increff(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        headers = more.pop("headers", INCREFF_HEADERS)
        return await self.call(method, f"{self.url}/channels/demo{path}", body=body, headers=headers, **more)

    async def warehouse(self, order: str, step: str, body: Any = None) -> Answer:
        """One step of Increff's warehouse on demand; returns what Sluice answered to Increff."""
        answer = await self.call("POST", f"{self.increff}/_sandbox/orders/{order}/{step}", body=body)
        assert answer.status == 200, answer
        return Answer(answer.body["status"], answer.body["body"], {})

    async def seen(self, side: str, touchpoint: str = "", order: str = "") -> list[dict[str, Any]]:
        """Requests that a far side recorded, oldest first."""
        params = {name: value for name, value in (("touchpoint", touchpoint), ("order", order)) if value}
        answer = await self.call("GET", f"{getattr(self, side)}/_sandbox/requests", params=params)
        assert answer.status == 200, answer
        requests: list[dict[str, Any]] = answer.body
        return requests

    async def misbehave(self, side: str, *faults: dict[str, Any]) -> None:
        answer = await self.call("PUT", f"{getattr(self, side)}/_sandbox/faults", body=list(faults))
        assert answer.status < 300, answer

    async def behave(self, side: str) -> None:
        answer = await self.call("DELETE", f"{getattr(self, side)}/_sandbox/faults")
        assert answer.status < 300, answer

    async def order(self, code: str) -> dict[str, Any]:
        answer = await self.call("GET", f"{self.admin_url}/api/orders/{code}", params={"channel": "demo"})
        return answer.body if answer.status == 200 else {"state": None, "status": answer.status, "body": answer.body}

    async def reaches(self, code: str, state: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Waits until the order is in `state`; returns its document."""
        found: dict[str, Any] = {}

        async def there() -> bool:
            found.clear()
            found.update(await self.order(code))
            return found.get("state") == state

        await self.eventually(there, lambda: f"order {code} is {state}, but it is {found}", timeout_s)
        return found

    async def eventually(
        self,
        condition: Callable[[], Awaitable[bool]],
        what: str | Callable[[], str],
        timeout_s: float = 30.0,
        every_s: float = 0.1,
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not await condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s: {what if isinstance(what, str) else what()}")
            await asyncio.sleep(every_s)


def _as_async(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def run() -> bool:
        return condition()

    return run


def create_order(code: str, *, quantity: int = 2, **changes: Any) -> dict[str, Any]:
    """A small order with two lines: `<code>-1` of `quantity` SHIRT and `<code>-2` of one JEANS."""
    return {
        "orderCode": code,
        "locationCode": "DXB-WH-01",
        "orderTime": "2026-11-24T09:12:41.000+04:00",
        "orderType": "SO",
        "onHold": False,
        "qcStatus": "PASS",
        "dispatchByTime": "2026-11-26T14:00:00.000+04:00",
        "startProcessingTime": "2026-11-24T09:30:00.000+04:00",
        "paymentMethod": "NCOD",
        "shippingAddress": {"name": "A Customer", "line1": "1 Street", "city": "Dubai", "country": "UAE"},
        "orderItems": [
            {
                "channelSkuCode": "SHIRT",
                "orderItemCode": f"{code}-1",
                "quantity": quantity,
                "sellingPricePerUnit": 89.25,
            },
            {"channelSkuCode": "JEANS", "orderItemCode": f"{code}-2", "quantity": 1, "sellingPricePerUnit": 199.5},
        ],
        **changes,
    }


def pack(code: str, shipment_id: int, *, shirts: int = 2, jeans: int = 1, **changes: Any) -> dict[str, Any]:
    items = [("SHIRT", shirts), ("JEANS", jeans)]
    return {
        "orderCode": code,
        "locationCode": "DXB-WH-01",
        "shipmentId": shipment_id,
        "shipmentItems": [{"channelSkuCode": sku, "quantityToPack": n} for sku, n in items if n],
        **changes,
    }


def cancellation(code: str, quantity: int, *, item: int = 1) -> dict[str, Any]:
    sku = {1: "SHIRT", 2: "JEANS"}[item]
    line = {"channelSkuCode": sku, "orderItemCode": f"{code}-{item}", "cancelledQuantity": quantity}
    return {"orderItems": [line]}


def most_in_any(window_s: float, times: list[float]) -> int:
    """The most moments of `times` (ascending) in any window of `window_s` seconds."""
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
