"""Operators' decisions about deliveries that hold their lane: to try again, or to let the lane go on without them.

The order's list says what each delivery is; the delivery role, which owns the lane, decides, and says what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from gateway.api.steps.two_steps import Taken
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.call import Call
from gateway.kafka.commands import Command, Commands
from topics.api.actions import PreviewSample
from topics.api.management import LaneDecided
from topics.contract.definition import WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import LaneAction, LaneDecision
from topics.records.envelope import LANE_DECISION, iso_time
from topics.records.verdicts import Verdict

VERDICT_WAIT_S = 5.0
"""How long a decision may take without an answer to its caller. It is stored by then, and is carried out when its
worker is back from a rebalance."""
_OF_LANE = ("channel", "order", "return", "manifest")
NO_EFFECT_YET = "the delivery role has taken it, and nothing has come of it yet; look at the order again"
"""The message of a decision whose caller waited as long as it wanted to."""


class LaneDecisions:
    """Stores decisions and gives the verdict of the worker that owns the lane."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def decide(
        self, call: Call, request: web.Request, taken: Taken, lane: bytes, partition: int, wait_s: float
    ) -> LaneDecided:
        """Raises Refused where the delivery does not hold its lane."""
        wanted, action = request.match_info["request"], LaneAction(request.match_info["action"])
        decision = LaneDecision(
            lane=lane.decode(), request=wanted, action=action, by=call.actor, reason=taken.reason, action_id=taken.id
        )
        command = Command(call.subject, lane, decision.encode(), topic="deliveries.requests", partition=partition)
        reply = await self._commands.execute(call, LANE_DECISION, command, max(wait_s, VERDICT_WAIT_S))
        if reply is None:
            message = "The delivery role has not taken it yet; it will when it is back"
            return LaneDecided(request=wanted, action=action, eventId=call.event, state="stored", message=message)
        if reply.verdict is Verdict.APPLIED:
            return LaneDecided(request=wanted, action=action, eventId=call.event, state="applied")
        call.positions.clear()  # nothing follows from what was stored
        if reply.verdict is Verdict.REFUSED:
            raise Refused(409, "NOT_HELD", f"{action} is not possible: {reply.message}")
        raise Refused(500, "NOT_DECIDED", "The delivery role could not decide this", reply.message)


FAR_SIDES = {
    LaneAction.RETRY: "The same request once more, with the same delivery id and the next attempt number. What waits "
    "behind it in its lane follows when it is delivered.",
    LaneAction.SKIP: "Never this request: its lane goes on with what waits behind it.",
}


def place_of(request: web.Request) -> dict[str, str]:
    """The path of a decision, with the query that says which lane is meant."""
    return {**request.match_info, **{name: request.query[name] for name in _OF_LANE if name in request.query}}


def action_of(request: web.Request) -> str:
    return f"{request.match_info['action']}-delivery"


def sample_of(delivery: Mapping[str, Any], code: str, channel: str) -> PreviewSample:
    return PreviewSample(
        id=str(delivery.get("id")),
        code=code,
        channel=channel,
        destination=delivery.get("destination"),
        touchpoint=delivery.get("touchpoint"),
        what=str(delivery.get("message") or delivery.get("status") or ""),
    )


def state_of(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a delivery that a preview shows: a later attempt makes it another one."""
    return {"status": delivery.get("status"), "attempt": _last_attempt(delivery).get("number")}


def answer_of(decided: LaneDecided) -> Answer:
    return json_answer(decided.model_dump(mode="json"), 202 if decided.state == "stored" else 200)


def effect_on(before: Mapping[str, Any], now: Mapping[str, Any], action: str) -> dict[str, str | None] | None:
    """State and message of a decision that was applied; None while nothing has come of it.

    A delivery stays dead until its attempt has ended, and is dead again after an attempt that failed for good.
    """
    status = str(now.get("status"))
    if status == "dead" and _last_attempt(now).get("number") == _last_attempt(before).get("number"):
        return None
    if action == LaneAction.SKIP and status == "refused":
        status = "skipped"  # the order keeps it as refused: the far side never takes it
    failed = status not in ("delivered", "skipped")
    why = now.get("message") or _last_attempt(now).get("error") or None
    return {"state": status, "message": str(why) if failed and why else None}


def check_holds_lane(delivery: Mapping[str, Any], code: str, action: str) -> None:
    """Raises Refused, which says what the delivery is and what can be done, unless an operator may decide about it."""
    status, name = str(delivery.get("status", "")), delivery.get("touchpoint", "")
    touchpoint = BY_NAME.get(str(name))
    if status == "dead" and (touchpoint is None or touchpoint.when_dead is WhenDead.HOLD):
        return
    refusal, said, hint = _standing(delivery, code, status)
    raise Refused(409, refusal, f"{action} of {name} is not possible: {said}", hint)


def _standing(delivery: Mapping[str, Any], code: str, status: str) -> tuple[str, str, str]:
    """The code for a delivery that holds no lane, what it is, and what can be done."""
    message = f": {delivery['message']}" if delivery.get("message") else ""
    if status == "dead":
        said = f"it was given up{_at(delivery)}, and its lane went on without it"
        return "GIVEN_UP", said, f"`sluice redrive --order {code}` sends it again"
    if status == "delivered":
        return "DELIVERED", f"it was delivered{_at(delivery)}", "nothing is to be done"
    if status == "refused":
        hint = f"`sluice orders resubmit {code} --reason TEXT` has it sent again, once its cause is mended"
        return "REFUSED", f"it was refused{_at(delivery)}{message}", hint
    if status == "resubmitted":
        hint = "look at the delivery that took its place"
        return "RESUBMITTED", "another delivery took its place after it was refused", hint
    if status == "retrying":
        next_ms = delivery.get("nextAtMs")
        when = f" at {iso_time(next_ms)}" if isinstance(next_ms, int) else ""
        return "WAITING", f"it waits for its next attempt{when}{message}", "nothing is to be done"
    if status == "queued":
        return "WAITING", "it waits in its lane, or is being sent now", "nothing is to be done"
    return "ENDED", f"it is {status}{message}", "nothing is to be done"


def _at(delivery: Mapping[str, Any]) -> str:
    """When its last attempt was."""
    at_ms = _last_attempt(delivery).get("atMs")
    return f" at {iso_time(at_ms)}" if isinstance(at_ms, int) else ""


def _last_attempt(delivery: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its last attempt that the order lists; empty before the first."""
    attempts: Sequence[Mapping[str, Any]] = delivery.get("attempts") or ({},)
    return attempts[-1]
