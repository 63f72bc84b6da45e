"""Asks the orders role to have a refused request decided anew. The orders role says whether it is sent again."""

from __future__ import annotations

import time
from typing import NamedTuple

from gateway.api.dead_letters import DeadLetter
from gateway.http.call import Call
from gateway.kafka.commands import Command, Commands
from topics.api.resubmissions import Outcome
from topics.configuration.channels import Channel
from topics.contract.definition import Entity
from topics.records.envelope import RESUBMIT
from topics.records.json_record import encode_record
from topics.records.verdicts import Verdict
from topics.subscriptions.model import KINDS

VERDICT_WAIT_S = 10.0
"""How long one verdict may take: as long as a query's. A return asks its forward order before it answers."""

MEMBERS = {Entity.ORDER: "orderCode", Entity.RETURN: "returnOrderCode", Entity.MANIFEST: "manifestId"}
"""The member of the command that names the entity."""


class Operator(NamedTuple):
    """The operator who has requests sent again, the address, and the reason."""

    by: str
    address: str
    reason: str


class Asked(NamedTuple):
    """The outcome of one request. `event`: the command's id; of it the new request's id is made."""

    outcome: Outcome
    message: str = ""
    event: str = ""

    @property
    def new_id(self) -> str | None:
        """The id of the request that takes the place of the refused one (streams/order/model/entities.request_id)."""
        return f"{self.event}.0" if self.outcome == "sent" else None


class Asker:
    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def ask(self, letter: DeadLetter, channel: Channel, operator: Operator, *, dry: bool) -> Asked:
        """Raises as the producer does. A repeat is harmless: each refused request is sent again once."""
        request = letter.request
        member = MEMBERS.get(KINDS[request.touchpoint].entity)
        if member is None:
            return Asked("not possible", f"{request.touchpoint} is of no order or return")
        value = encode_record(
            {
                member: request.subject,
                "request": request.id,
                "touchpoint": request.touchpoint,
                "body": request.body,
                "saidMs": request.created_ms,
                "by": operator.by,
                "address": operator.address,
                "reason": operator.reason,
                "dryRun": dry,
            }
        )
        call = Call("api-resubmit", time.perf_counter(), channel=channel, subject=request.subject)
        # Not signed: a version before may have validated the body by other rules, so the orders role reads it anew.
        command = Command(request.subject, request.entity.encode(), value, is_plain=False)
        reply = await self._commands.execute(call, RESUBMIT, command, VERDICT_WAIT_S)
        if reply is None:
            return Asked("late", "the orders role gave no verdict in time; a repeat is safe", call.event)
        if reply.verdict is Verdict.APPLIED:
            return Asked("would be sent" if dry else "sent", reply.message, call.event)
        if reply.verdict is Verdict.DUPLICATE:
            return Asked("sent before", "another delivery has taken its place")
        outcome: Outcome = "late" if reply.verdict is Verdict.FAILED else "not possible"
        return Asked(outcome, reply.message, call.event)
