"""Errors of the management API: problem details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

import orjson

from gateway.http.answers import Answer, Refused

PROBLEM_JSON = "application/problem+json"


def problem(refused: Refused) -> Answer:
    """`code` is the machine-readable extension member; `type` is about:blank: there is no page to point to."""
    detail = f"{refused.message}: {refused.description}" if refused.description else refused.message
    body = {
        "type": "about:blank",
        "title": refused.code.replace("_", " ").capitalize(),
        "status": refused.status,
        "detail": detail,
        "code": refused.code,
    }
    return Answer(refused.status, orjson.dumps(body), refused.retry_after_s, PROBLEM_JSON)
