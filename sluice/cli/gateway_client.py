"""Client of a gateway's management API, for the command line."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.errors import StartError
from topics.paths.patterns import quoted

TIMEOUT_S = 20.0
"""A query passes through the orders role: it is answered in milliseconds, or after a rebalance. A subscriber's endpoint
has ten seconds to answer its challenge."""

POLL_S = 0.5
"""Pause between two questions about a job that goes on."""
FINAL_STATES = ("done", "stopped", "failed", "refused")

HINTS = {401: "; set SLUICE_API_TOKEN", 403: "; this command sends SLUICE_API_TOKEN"}
PROBLEM = "application/problem+json"
"""Content type of the gateway's errors. A 404 of another type comes from something that is no gateway."""


class UnknownError(StartError):
    """The gateway answers that there is no such thing. `refused_calls`: those that named it all the same."""

    def __init__(self, message: str, refused_calls: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.refused_calls = refused_calls


def fetch(url: str, code: str, channel: str | None) -> dict[str, Any]:
    """Return the document of the order or return with this code. Raises StartError that says what to do, UnknownError
    when there is neither."""
    query = f"?{urllib.parse.urlencode({'channel': channel})}" if channel else ""
    unknown = UnknownError("")
    for kind in ("orders", "returns"):
        try:
            document: dict[str, Any] = ask(url, "GET", f"/api/{kind}/{in_path(code)}{query}")
        except UnknownError as error:
            unknown = unknown if unknown.refused_calls else error
        else:
            return document
    raise unknown


def ask_of_either(url: str, code: str, path: str, channel: str | None, body: Any, *, wait_s: int = 0) -> Any:
    """Return the answer to a POST about the order with this code, or about the return. Raises as `fetch`.

    With `wait_s`, the gateway waits so long for the effect.
    """
    named = {"channel": channel, "wait": wait_s or None}
    query = urllib.parse.urlencode({name: value for name, value in named.items() if value is not None})
    of_order: UnknownError | None = None
    for kind in ("orders", "returns"):
        target = f"/api/{kind}/{in_path(code)}{path}{f'?{query}' if query else ''}"
        try:
            return ask(url, "POST", target, body, wait_s=wait_s)
        except UnknownError as error:
            # A known order may lack what the path names, and the return of that code need not exist.
            of_order = of_order or error
    raise of_order or UnknownError(f"there is no order or return {code}")


def ask(url: str, method: str, path: str, body: Any = None, *, revision: int | None = None, wait_s: int = 0) -> Any:
    """Return the gateway's answer, None when it has no body. Raises StartError that says what to do.

    With `revision`, the gateway changes the document only if it still has this revision. `wait_s`: how long it may wait
    for an effect before it answers.
    """
    target = url.rstrip("/") + path
    if not target.startswith(("http://", "https://")):
        raise StartError(f"--url {url}: expected http://HOST:PORT or https://HOST")
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **authorization()}
    if revision is not None:
        headers["If-Match"] = f'"{revision}"'
    request = urllib.request.Request(target, data, headers, method=method)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S + wait_s) as answer:  # noqa: S310 - the scheme was checked
            raw = answer.read()
            return json.loads(raw) if raw else None
    except urllib.error.HTTPError as error:
        raise refused(url, error.code, error.reason, error.headers.get_content_type(), _read(error)) from error
    except (OSError, ValueError) as error:
        raise no_answer(url, error) from error


def until_over(url: str, path: str, document: Any) -> Any:
    """Return the last document of a job of the gateway. `path`: of the jobs of its kind. Ctrl-C stops the job."""
    try:
        return _until_over(url, path, document)
    except KeyboardInterrupt:
        return _until_over(url, path, ask(url, "DELETE", f"{path}/{document['id']}"))


def _until_over(url: str, path: str, document: Any) -> Any:
    while document["state"] not in FINAL_STATES:
        time.sleep(POLL_S)
        document = ask(url, "GET", f"{path}/{document['id']}")
    return document


def in_path(*names: str) -> str:
    """Return names as parts of a path."""
    return "/".join(map(quoted, names))


def no_answer(url: str, error: Exception) -> StartError:
    reason = getattr(error, "reason", error)
    return StartError(f"no Sluice answers at {url} ({reason}); start it with `sluice up`, or give --url")


def authorization() -> dict[str, str]:
    token = os.environ.get("SLUICE_API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _is_unknown(refusal: dict[str, Any]) -> bool:
    return refusal.get("status") == 404 and refusal.get("code") == "UNKNOWN"


def _read(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read()
    except OSError:
        return b""


def _problem(content_type: str, raw: bytes) -> dict[str, Any]:
    """Return the problem details of an answer; empty when it is something else."""
    if content_type != PROBLEM:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def refused(url: str, status: int, reason: str, content_type: str, raw: bytes) -> StartError:
    """Return the error for a refusal, in the gateway's own words."""
    refusal = _problem(content_type, raw)
    if status == 404 and not refusal:
        return StartError(f"the server at {url} is not Sluice; give --url")
    detail = refusal.get("detail") or refusal.get("title")
    if _is_unknown(refusal):
        return UnknownError(str(detail), refusal.get("refusedCalls") or ())
    hint = HINTS.get(status, "")
    return StartError(f"{url} answered {status}: {detail or reason}{hint}")
