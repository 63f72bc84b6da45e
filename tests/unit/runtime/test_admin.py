"""The admin port of a streams role: bytes that are no HTTP leave one line in its log, and none of themselves."""

from __future__ import annotations

import asyncio

import pytest

from streams.runtime.admin import Admin
from streams.runtime.metrics import Metrics
from topics.configuration.settings import load_settings

SECRET = b"s3cretPassw0rd"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01" + SECRET,
        b"GET / HTTP/1.1\r\nHost: x\r\nauthPassword " + SECRET + b"\r\n\r\n",
        b"GET /" + SECRET * 2_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
    ],
)
async def test_what_is_no_http_is_not_logged(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    admin = Admin(load_settings(), Metrics("orders"), lambda: None, lambda: None, list, fail)
    await admin.start()
    try:
        for asked, status in ((sent, b"400"), (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"500")):
            reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
            writer.write(asked)
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.startswith(b"HTTP/1.")
            assert answer.split(b" ")[1] == status
            writer.close()
    finally:
        await admin.stop()
    assert "admin port: malformed request (" in caplog.text
    assert "from 127.0.0.1" in caplog.text
    assert "Traceback" not in caplog.text
    assert SECRET.decode() not in caplog.text
