"""Asking a gateway's management API, for the command line."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from sluice.local.errors import StartError

TIMEOUT_S = 15.0
"""A query travels through the orders role; it is there in milliseconds, or after a rebalance."""


def fetch_order(url: str, code: str, channel: str | None) -> dict[str, Any] | None:
    """The order document, None when there is no such order. Raises StartError with what to do about it."""
    query = f"?{urllib.parse.urlencode({'channel': channel})}" if channel else ""
    target = f"{url.rstrip('/')}/api/orders/{urllib.parse.quote(code, safe='')}{query}"
    if not target.startswith(("http://", "https://")):
        raise StartError(f"--url {url}: expected http://HOST:PORT or https://HOST")
    request = urllib.request.Request(target, headers=_headers())  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme was checked
            document: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise _refused(error, url) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise StartError(f"no Sluice answers at {url} ({reason}); start it with `sluice up`, or give --url") from error
    return document


def _headers() -> dict[str, str]:
    token = os.environ.get("SLUICE_API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refused(error: urllib.error.HTTPError, url: str) -> StartError:
    """An answer that is neither the order nor "no such order", in the gateway's own words."""
    try:
        problem = json.load(error)
    except ValueError:
        problem = {}
    detail = (problem.get("detail") or problem.get("title")) if isinstance(problem, dict) else None
    hint = "; set SLUICE_API_TOKEN" if error.code == 401 else ""
    return StartError(f"{url} answered {error.code}: {detail or error.reason}{hint}")
