"""Answers to callers: verdicts, refusals and documents, in the shape that the contract has for each side.

A marketplace sees Increff's error body `{code, message, description}`, Increff a channel's `{hasError, errorMessage}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import orjson

from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.models.fulfilment import Taken
from topics.contract.refusals import REFUSED, answered_as, far_refusal_status
from topics.paths.bases import API_BASE, CHANNELS_BASE
from topics.records.json_text import write
from topics.records.verdicts import Reply, Verdict

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
KAFKA_RETRY_AFTER_S = 2
"""An election or the restart of a broker takes a few seconds; callers come back at several moments of it."""
STOOD_STILL_RETRY_AFTER_S = 1
"""As long as a gateway refuses new connections after a standstill."""
VERDICT_RETRY_AFTER_S = 2
"""The record is stored and its verdict late, as during a rebalance, which ends in seconds."""
FAR_SIDE_RETRY_AFTER_S = 5
"""The far side did not answer within the relay deadline; asked again at once, it would be as slow."""
OVERLOAD_RETRY_AFTER_S = 1
"""For bounds that no queue stands before: what is under way ends in much less. Who meets the limit of calls in hand is
told a time that follows from the excess."""


NOT_TAKEN = "NOT_TAKEN"
"""Code of a batch of which some orders were refused, each for its own reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    retry_after_s: int | None = None
    content_type: str = JSON
    revision: int | None = None
    """The revision of the document in `body`: its ETag."""
    headers: tuple[tuple[str, str], ...] = ()


EMPTY = Answer(200)
_ACCEPTED = Answer(200, b'{"hasError":false,"errorMessage":null}')


NOTHING_MORE: Mapping[str, Any] = MappingProxyType({})
_QUOTING = (REFUSED, NOT_TAKEN)
QUOTED = "refused by the order's state or by its far side; the history of the order has the words"
"""The reason of an answer that may quote a far side."""
REASON_CHARS = 500
"""Characters kept of the text of the answer: as many as the orders role keeps."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault of Sluice
    """A call answered with an error. `code` is for machines, `message` for people; `description` names the fields.
    `members`: those of the call, if they could be read; `more`: further members of a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        description: str = "",
        retry_after_s: int | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.description = description
        self.retry_after_s = retry_after_s
        self.headers = headers
        self.members: Mapping[str, Any] | None = None
        self.more: Mapping[str, Any] = NOTHING_MORE

    @property
    def text(self) -> str:
        return f"{self.message}: {self.description}" if self.description else self.message

    @property
    def reason(self) -> str:
        """The text for logs and histories, if it is Sluice's own; else it may quote a far side, and so the order."""
        return QUOTED if self.code in _QUOTING else self.text[:REASON_CHARS]


def bad_data(*faults: str) -> Refused:
    """Increff's own words for invalid data (contract 0.3), with the fields that are wrong."""
    return Refused(400, "BAD_DATA", "Input validation failed", f"[{', '.join(faults)}]")


def kafka_away() -> Refused:
    message = "Kafka did not acknowledge in time, so it is not known whether this was stored; a repeat is safe"
    return Refused(503, "UNAVAILABLE", message, retry_after_s=KAFKA_RETRY_AFTER_S)


def overloaded(reason: str, retry_after_s: int = OVERLOAD_RETRY_AFTER_S) -> Refused:
    return Refused(503, "OVERLOADED", "Sluice has too much to do; a repeat is safe", reason, retry_after_s)


def stood_still() -> Refused:
    message = "Sluice stood still while this was waiting, so it was not stored; a repeat is safe"
    return Refused(503, "UNAVAILABLE", message, retry_after_s=STOOD_STILL_RETRY_AFTER_S)


def late() -> Refused:
    message = "Stored, but there is no verdict yet; a repeat gets it"
    return Refused(503, "VERDICT_LATE", message, retry_after_s=VERDICT_RETRY_AFTER_S)


def json_answer(document: Any, status: int = 200) -> Answer:
    return Answer(status, write(document))


def shaped(direction: Direction, refused: Refused) -> Answer:
    """A refusal in the shape that callers in this direction know."""
    if direction is Direction.TO_INCREFF:
        body: dict[str, Any] = {
            "code": refused.code,
            "message": refused.message,
            "description": refused.description or refused.message,
        }
    else:
        body = {"hasError": True, "errorMessage": refused.text}
    return Answer(refused.status, orjson.dumps(body), refused.retry_after_s, headers=refused.headers)


def problem(refused: Refused) -> Answer:
    """A refusal as the management API gives it: problem details for HTTP APIs (RFC 9457).

    `code` is the machine-readable extension member; `type` is about:blank, because there is no page to point to.
    """
    body = {
        "type": "about:blank",
        "title": refused.code.replace("_", " ").capitalize(),
        "status": refused.status,
        "detail": refused.text,
        "code": refused.code,
        **refused.more,
    }
    return Answer(refused.status, orjson.dumps(body), refused.retry_after_s, PROBLEM_JSON, headers=refused.headers)


def is_api(path: str) -> bool:
    """Whether a path is one of the management API."""
    return path.startswith(API_BASE + "/") or path == API_BASE


def shape_of(path: str) -> Callable[[Refused], Answer]:
    """Makes refusals in the shape that the callers of a path know."""
    if path.startswith(CHANNELS_BASE + "/"):
        return partial(shaped, Direction.TO_MARKETPLACE)
    return problem if is_api(path) else partial(shaped, Direction.TO_INCREFF)


def accepted(touchpoint: Touchpoint) -> Answer:
    """Success of an accepted call: with the body that the contract documents, or none."""
    return _ACCEPTED if touchpoint.response is Taken else EMPTY


def answer_of(touchpoint: Touchpoint, reply: Reply | None) -> Answer:
    """The answer to a single command. Without a reply in time, only a call that cannot be refused is a success.

    Raises Refused for what did not succeed.
    """
    if reply is None:
        if touchpoint.refusable:
            raise late()
        return accepted(touchpoint)
    if not reply.verdict.succeeded:
        passed_on = _far_refusal(touchpoint, reply)
        if passed_on is not None:
            return passed_on
        raise refusal(touchpoint, reply)
    if touchpoint.mode is Mode.RELAY:
        return _relayed(reply)
    return accepted(touchpoint)


def refusal(touchpoint: Touchpoint, reply: Reply) -> Refused:
    """Why a command did not succeed."""
    status, code = answered_as(touchpoint, reply.verdict, reply.status)
    if reply.verdict is Verdict.CONFLICT:
        return Refused(status, code, reply.message or "Other data is known under this code")
    if reply.verdict is Verdict.EARLY:
        return Refused(status, code, reply.message or f"The {code.removesuffix('_UNKNOWN').lower()} is not known")
    if reply.verdict is Verdict.FAILED:
        message = reply.message or "The far side gave no answer in time; a repeat is safe"
        return Refused(status, code, message, retry_after_s=FAR_SIDE_RETRY_AFTER_S)
    return Refused(status, code, reply.message or "Not possible in the present state")


def _far_refusal(touchpoint: Touchpoint, reply: Reply) -> Answer | None:
    """The far side's own 4xx body, if it has the shape that the caller knows: so nothing of it is lost."""
    status = far_refusal_status(reply.status)
    if reply.verdict is not Verdict.REFUSED or status is None or not isinstance(reply.body, dict):
        return None
    wanted = {"code", "message"} if touchpoint.direction is Direction.TO_INCREFF else {"errorMessage"}
    return Answer(status, write(reply.body)) if wanted <= reply.body.keys() else None


def _relayed(reply: Reply) -> Answer:
    """The far side's answer as it came: with a JSON body, a text or none."""
    status = reply.status if reply.status is not None and 200 <= reply.status < 300 else 200
    if reply.body is None or reply.body == "":
        return Answer(status)
    if isinstance(reply.body, str):
        return Answer(status, reply.body.encode(), content_type="text/plain; charset=utf-8")
    return Answer(status, write(reply.body))
