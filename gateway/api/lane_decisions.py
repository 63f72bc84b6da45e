"""Operators' decisions about deliveries that were given up: to try again, or to let the lane go on without them."""

from __future__ import annotations

from aiohttp import web

from gateway.http.answers import Answer, json_answer
from gateway.http.call import Call
from gateway.kafka.commands import Commands
from topics.records.deliveries import LaneAction, LaneDecision
from topics.records.envelope import LANE_DECISION


async def decide_lane(commands: Commands, call: Call, request: web.Request, lane: bytes, partition: int) -> Answer:
    """Stores the decision that the path names; the worker that owns the lane carries it out."""
    wanted, action = request.match_info["request"], LaneAction(request.match_info["action"])
    decision = LaneDecision(lane=lane.decode(), request=wanted, action=action)
    await commands.store(call, LANE_DECISION, "deliveries.requests", lane, decision.encode(), partition)
    return json_answer({"request": wanted, "action": action, "eventId": call.event}, 202)
