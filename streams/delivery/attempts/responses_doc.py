"""Writes docs/responses.md, the meaning of each answer, by calling `classify`.

`python -m streams.delivery.attempts.responses_doc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from streams.delivery.attempts.answer_body import ACCEPTING
from streams.delivery.attempts.answer_words import CODES, ERRORS, FAILED, FLAGS, STATES
from streams.delivery.attempts.classify import ResponseVerdict, classify
from streams.delivery.attempts.response_headers import RETRY_AFTER_MAX_S, THROTTLE_DEFAULT_S
from streams.delivery.ports import FAULTS, RESPONSE_BYTES_MAX, Answer
from topics.contract.answer_names import ORDER_NAMES, SKU_NAMES, WRAPPED_MAX, WRAPPERS
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import VALUES_MAX
from topics.subscriptions.model import FACT

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "responses.md"
NOW_MS = 1_760_000_000_000
ASKED = (BY_NAME["create-outward-order"], BY_NAME["pack-order"], FACT)
COLUMNS = ("Increff, marketplaces", "a relay that needs the body", "subscribers")
JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain"
REFUSED_IN_UTF16 = '{"hasError": "true"}'.encode("utf-16")
_PAST, _NEXT_MINUTE = "Thu, 09 Oct 2025 08:00:00 GMT", "Thu, 09 Oct 2025 08:54:20 GMT"

HEAD = f"""<!-- Made by `python -m streams.delivery.attempts.responses_doc`; do not edit. -->

# What does Sluice do with this answer?

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
{RESPONSE_BYTES_MAX >> 20} MiB, decompressed; of one with more than {VALUES_MAX:,} JSON values only the words
below are read. A 401 or 403 concerns the credentials: they are read again, or requested where the channel has
`marketplace_credential`, and the request is sent again; no order is given up for a password.
A refusal of a repeat may tell that the first was carried out: [lost-answers.md](lost-answers.md).

"""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _faults() -> str:
    return "\n".join(f"| `{fault}` | {means} |" for fault, means in FAULTS.items())


BODIES = f"""
## What is read from a body

**Bytes.** The usual body is JSON in UTF-8. Read as well: a byte order mark; UTF-16 and UTF-32, named or not; the
charset that Content-Type names; bytes that are no UTF-8, as windows-1252; a lone surrogate, as U+FFFD; a name that
comes twice, of which the last counts; whole numbers of any length. Not read, as by most readers of JSON: `NaN`, a
trailing comma, a comment, single quotes, a line break inside a text, anything before or behind the object.

**No JSON.** An empty body is a success, as the contract says. Of bodies that are no JSON, only these words are one, and
only where the caller needs no body:

> {_listed(ACCEPTING)}

**Words.** `hasError` decides where it is present. It is read as a flag of a request: `true`, `"true"` and any number
but 0 refuse. Where it is missing, an answer is no success if one of these members says that the call failed:

| member | says so by |
|---|---|
| {_listed(FLAGS)} | `false`, 0 |
| {_listed(STATES)} | {_listed(FAILED)} |
| {_listed(CODES)} | a number from 400 to 599 |
| {_listed(ERRORS)} | anything but nothing, zero or a word for success |
| `code` beside `message` or `description` | a constant such as `BAD_DATA`: the contract's own error body |

These words do not say that a repeat would not help, so the request is sent again. All members of this page are found in
any case and with `_` or `-` in their names. They are found inside of wrappers, too, up to {WRAPPED_MAX}: an object
{_listed(WRAPPERS)}, as a list of one there, an object that is the only member, and either of them printed as text.

**Lists.** `failureList`, `successList` and `successOrders` hold codes as texts or numbers, objects with a code
(below), or are a map from a code to anything, or a text.

| a code of | its names in an object |
|---|---|
| a SKU | {_listed(SKU_NAMES)} |
| an order | {_listed(ORDER_NAMES)} |

| the answer to a stock call | acknowledged are |
|---|---|
| no list, or empty ones | all SKUs |
| no list, or empty ones, beside `failedItems`, `failureCount` and the like | as if that were `failureList` |
| `failureList` names some | the others, unless `successList` leaves them out |
| `successList` names some | these, unless `failureList` names them, too |
| an entry of `failureList` names nothing that was sent, another does | those in `successList` |
| a list that is not empty and names nothing of what was sent | none: smaller calls find the SKU at fault |

An answer with a 2xx that is no success, and does not refuse in the contract's word, is counted in
`sluice_delivery_unusable_answers_total{{channel,touchpoint,fault}}`. Its words are shown by `sluice order CODE`, by
`GET /api/orders/CODE` and in the dead letter.

| fault | the answer |
|---|---|
{_faults()}
"""


def answers() -> Iterator[tuple[str, Answer]]:
    """The answers to classify, each with its name in the table."""
    yield "no answer: time-out, reset, DNS, TLS, not HTTP", Answer(status=None, error="reset")
    yield "a request that HTTP cannot carry", Answer(status=None, error="a control character", unsendable=True)
    yield "2xx, empty", _answer(200)
    yield "2xx, JSON", _answer(200, b"{}")
    yield "2xx, `[]`", _answer(200, b"[]")
    yield "2xx, a list, `false`, a number or a text as JSON", _answer(200, b"[1]")
    yield "2xx, `null`, `true`, or a word that can only mean success (below)", _answer(200, b"OK", type=TEXT)
    yield "2xx, other words", _answer(200, b"ERROR", type=TEXT)
    yield "2xx, a page: HTML or XML, whatever its Content-Type", _answer(200, b"<html>", type=HTML)
    yield "2xx, JSON by its Content-Type or first character that cannot be read", _answer(200, b'{"a":1,}', type=JSON)
    yield (
        '2xx with `hasError`: `true`, `"true"`, `1`; in UTF-16, behind a byte order mark',
        _answer(200, '{"hasError": "true"}'.encode("utf-16")),
    )
    yield "2xx with `hasError` that is neither true nor false", _answer(200, b'{"hasError": "maybe"}')
    yield "2xx that says in other words that it failed (below)", _answer(200, b'{"success": false}')
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
        BODIES,
    )
    return "\n".join([HEAD + table(), "", *foot])


def _answer(status: int, body: bytes = b"", after: str | None = None, type: str = "") -> Answer:  # noqa: A002
    headers = ({} if after is None else {"Retry-After": after}) | ({"Content-Type": type} if type else {})
    return Answer(status=status, body=body, headers=headers)


def _said(verdict: ResponseVerdict) -> str:
    if verdict.not_before_ms is None:
        return str(verdict.kind)
    return f"{verdict.kind}, {(verdict.not_before_ms - NOW_MS) / 1000:.0f} s"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
