"""Writes docs/responses.md, the meaning of each answer, by calling `classify`.

`python -m streams.delivery.attempts.responses_doc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.delivery.attempts.classify import ResponseVerdict, classify
from streams.delivery.attempts.response_headers import RETRY_AFTER_MAX_S, THROTTLE_DEFAULT_S
from streams.delivery.ports import RESPONSE_BYTES_MAX, Answer
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import VALUES_MAX
from topics.subscriptions.model import FACT

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "responses.md"
NOW_MS = 1_760_000_000_000
ASKED = (BY_NAME["create-outward-order"], BY_NAME["pack-order"], FACT)
COLUMNS = ("Increff, marketplaces", "a relay that needs the body", "subscribers")
_PAST, _NEXT_MINUTE = "Thu, 09 Oct 2025 08:00:00 GMT", "Thu, 09 Oct 2025 08:54:20 GMT"

HEAD = f"""# What does Sluice do with this answer?

Find the answer of your endpoint in the second table; the first says what follows. One function decides for every
request that leaves Sluice (`streams/delivery/attempts/classify.py`); the table is made by calling it.

| class | what follows |
|---|---|
| delivered | the request leaves its lane |
| retry | the request is sent again, with the same id, after a pause that grows; its lane waits, others go on |
| throttled | fewer requests at once; with a time, nothing at all is sent to the destination before it |
| refused | a repeat would not help: the order learns it, and a relay's caller gets the answer |
| gone | the subscription is disabled; its facts wait until it is enabled again |

A relay repeats faster, and only until its caller's deadline. Redirects are never followed. An answer is read up to
{RESPONSE_BYTES_MAX >> 20} MiB, decompressed; of one with more than {VALUES_MAX:,} JSON values only `hasError` and its
messages are read. A 401 or 403 concerns the credentials: they are read again, or requested where the channel has
`marketplace_credential`, and the request is sent again; no order is given up for a password.

"""


def answers() -> Iterator[tuple[str, Answer]]:
    """The answers to classify, each with its name in the table."""
    yield "no answer: time-out, reset, DNS, TLS, not HTTP", Answer(status=None, error="reset")
    yield "a request that HTTP cannot carry", Answer(status=None, error="a control character", unsendable=True)
    yield "2xx, empty", _answer(200)
    yield "2xx, JSON", _answer(200, b"{}")
    yield "2xx, not JSON", _answer(200, b"<html>")
    yield "2xx with `hasError: true`", _answer(200, b'{"hasError": true}')
    yield "2xx, cut off, too large, or a gzip bomb", Answer(status=200, body=b'{"a', error="cut off")
    for status in (301, 307):
        yield f"{status}", _answer(status)
    for status in (400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425):
        yield f"{status}", _answer(status)
    yield "429", _answer(429)
    yield "429, `Retry-After: 30`", _answer(429, after="30")
    yield "429, `Retry-After` is a date a minute away", _answer(429, after=_NEXT_MINUTE)
    yield "429, `Retry-After` is a date that is over, or 0", _answer(429, after=_PAST)
    yield "429, `Retry-After: 999999999`", _answer(429, after="999999999")
    yield "429, `Retry-After: soon`", _answer(429, after="soon")
    for status in (500, 501, 502, 503, 504, 599):
        yield f"{status}", _answer(status)
        if status < 510:
            yield f"{status}, `Retry-After: 30`", _answer(status, after="30")


def table() -> str:
    lines = [f"| answer | {' | '.join(COLUMNS)} |", "|---|---|---|---|"]
    for name, answer in answers():
        said = [_said(classify(touchpoint, {}, answer, NOW_MS)) for touchpoint in ASKED]
        lines.append(f"| {name} | {' | '.join(said)} |")
    return "\n".join(lines)


def document() -> str:
    seconds = f"up to {RETRY_AFTER_MAX_S:.0f} s; a 429 without a readable one means {THROTTLE_DEFAULT_S:.0f} s."
    foot = (
        f"A `Retry-After` counts {seconds}",
        "An acknowledgement whose answer leaves an order out of `successOrders` is tried again.",
    )
    return "\n".join([HEAD + table(), "", *foot, ""])


def _answer(status: int, body: bytes = b"", after: str | None = None) -> Answer:
    headers: Mapping[str, Any] = {} if after is None else {"Retry-After": after}
    return Answer(status=status, body=body, headers=headers)


def _said(verdict: ResponseVerdict) -> str:
    if verdict.not_before_ms is None:
        return str(verdict.kind)
    return f"{verdict.kind}, {(verdict.not_before_ms - NOW_MS) / 1000:.0f} s"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
