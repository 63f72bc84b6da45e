"""An operator's action in its two steps, as a test asks for it in one."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestClient

REASON = "because of the test"


async def act(
    client: TestClient[Any, Any] | ClientSession, path: str, asked: Any = None, *, reason: str = REASON, **more: Any
) -> ClientResponse:
    """The answer to the action; that to the preview where it was refused or shows nothing to do."""
    place, mark, query = path.partition("?")
    is_stock = place.startswith("/api/inventory/")
    shown = place.replace("/inventory/", "/inventory/preview/", 1) if is_stock else f"{place}/preview"
    preview = await client.post(f"{shown}{mark}{query}", json=asked, **more)
    if preview.status != 200:
        return preview
    token = (await preview.json())["token"]
    if token is None:
        return preview
    return await client.post(path, json={"token": token, "reason": reason}, **more)
