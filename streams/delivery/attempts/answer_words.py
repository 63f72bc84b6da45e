"""Words by which an answer with a 2xx says that the call failed. Pure.

The contract has one word for a refusal with a 2xx, `hasError` (contract 0.3), and it decides where it is present. Other
words show that the call was not taken, and not that a repeat would not help: such an answer is no success, and the
request is sent again.
"""

from __future__ import annotations

import re
from typing import Any

from streams.delivery.attempts.answer_body import accepts
from streams.delivery.ports import AnswerFault
from topics.contract.answer_names import WRAPPERS, is_nothing, plain, unwrapped
from topics.contract.leniency import flag_of
from topics.values import Value

HAS_ERROR = "haserror"
FLAGS = frozenset(
    {"success", "issuccess", "successful", "issuccessful", "succeeded", "ok", "isok"}
    | {"accepted", "isaccepted", "acknowledged", "ack"}
)
"""Members that say by `false` that the call failed."""
STATES = frozenset({"status", "result", "outcome", "responsestatus"})
"""Members that may say it in one of FAILED, or in words that begin as one does: `Failed to update`."""
CODES = frozenset({"status", "statuscode", "statuscodevalue", "httpstatus", "httpstatuscode", "code", "responsecode"})
"""Members that may hold the status that HTTP should have had: frameworks print it (Spring, AWS Lambda)."""
ERRORS = frozenset(
    {"error", "errors", "iserror", "haserrors", "exception", "fault", "errormessage", "errormessages", "errorcode"}
    | {"errordescription", "errorlist", "validationerrors", "usererrors", "failed", "isfailed", "failure"}
)
"""Members that are missing or empty when all is well, or hold one of FINE."""
FINE = frozenset({"ok", "okay", "success", "successful", "succeeded", "200", "201", "202", "204"})
WORDS = frozenset({HAS_ERROR, "message", "description"}) | FLAGS | STATES | CODES | ERRORS
FAILED = frozenset(
    {"fail", "failed", "failure", "error", "errors", "rejected", "refused", "denied", "invalid", "ko", "nok", "nack"}
    | {"unauthorized", "forbidden", "exception", "false", "unsuccessful", "not ok", "not_ok", "n", "no"}
)
NAME_MAX = max(map(len, WORDS)) + 4
"""Longest name that can be one of WORDS, with `_` or `-` inside."""

_LOOKED_AT = WORDS | WRAPPERS

_FAILING = re.compile(r"(fail|error|reject|refus|denied|invalid|unauthori[sz]ed|forbidden|exception|unsuccess)")
_CONSTANT = re.compile(r"[A-Z]+(_[A-Z]+)*")
"""Increff's error codes, such as `BAD_DATA` (contract 0.3)."""


class Objection(Value, frozen=True):
    """A reason against a success. `fault` None: the contract's own word for a refusal."""

    fault: AnswerFault | None
    why: str = ""


def objection_in(members: dict[str, Any]) -> Objection | None:
    """None: nothing speaks against it."""
    if members.get("hasError") is False:
        return None
    if len(members) != 1 and not any(len(name) <= NAME_MAX and plain(name) in _LOOKED_AT for name in members):
        return None
    for inner in unwrapped(members):
        said = {
            name: content
            for spelt, content in inner.items()
            if len(spelt) <= NAME_MAX and content not in (None, "") and (name := plain(spelt)) in WORDS
        }
        if HAS_ERROR in said:
            return _contracts_word(said[HAS_ERROR])
        failing = next((name for name, content in said.items() if _fails(name, content, said)), None)
        if failing is not None:
            return Objection(AnswerFault.FAILED, f"the answer says {failing}: {str(said[failing])[:200]}")
    return None


def _contracts_word(has_error: Any) -> Objection | None:
    flag = flag_of(has_error)
    if flag is None:
        return Objection(AnswerFault.UNCLEAR, f"hasError is neither true nor false: {str(has_error)[:200]!r}")
    return Objection(None) if flag else None


def _fails(name: str, content: Any, said: dict[str, Any]) -> bool:
    if name in FLAGS and (flag_of(content) is False or _word(content) in FAILED):
        return True
    if name in STATES and (content is False or _word(content) in FAILED or _FAILING.match(_word(content))):
        return True
    if name in ERRORS and not is_nothing(content) and _word(content) not in FINE:
        return True
    return name in CODES and _is_failing_code(content, said)


def _is_failing_code(content: Any, said: dict[str, Any]) -> bool:
    text = _word(content)
    if text.isdecimal():
        return len(text) == 3 and "400" <= text <= "599"
    # The contract's error body without the status that belongs to it.
    described = isinstance(said.get("message"), str) or isinstance(said.get("description"), str)
    is_constant = isinstance(content, str) and _CONSTANT.fullmatch(content.strip()) is not None
    return described and is_constant and not any(map(accepts, text.split("_")))


def _word(content: Any) -> str:
    """A text or a whole number in small letters; anything else is no word."""
    if isinstance(content, str):
        return content.strip().lower()
    return str(content) if type(content) is int else ""
