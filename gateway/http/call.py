"""One HTTP call: what is known about it so far, for its receipts and its line in the log."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from gateway.http.answers import Answer
from gateway.http.whole_response import WholeResponse
from gateway.ports import PlaceInHand, Position
from topics.configuration.channels import Channel
from topics.records.envelope import Headers
from topics.traces.context import TraceContext, handed_on
from topics.traces.spans import OpenSpan

EVENT_ID_HEADER = "Sluice-Event-Id"
POSITION_HEADER = "Sluice-Position"
ID_BYTES = 16
IDS_DRAWN = 256
"""Ids drawn at once: 4 KiB of randomness."""
POSITIONS_MAX = 20
"""Positions in one header: those of a batch of 1,000 would exceed the header line that clients accept (8 KiB)."""


class EventIds:
    """Ids of 128 random bits, drawn for many requests at once: a system call for each costs as much as its metrics."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def new(self) -> str:
        if not self._drawn:
            bits = os.urandom(ID_BYTES * IDS_DRAWN).hex()
            self._drawn = [bits[at : at + ID_BYTES * 2] for at in range(0, len(bits), ID_BYTES * 2)]
        return self._drawn.pop()


new_event_id = EventIds().new


@dataclass(slots=True)
class Call:
    """`touchpoint`: its name in the log and the metrics; `address`: its caller's; `event`: id of the event, or of the
    batch; `subject`: code of the order or other thing that it is about; `positions`: of the records that it left in
    Kafka; `code`, `reason`: why it was refused; `actor`: the name of the token of a call of /api; `place`: its own
    among the calls in hand; `method`, `target`: of a request that no route takes, and its path; `trace`: what records
    go on with, the span of the call or the caller's; `span`: that of the call, if it is recorded; `standstills`: how
    often this process had stood still when its head came; None: not known; `decided_s`: how long it waited for its
    verdict, if it did."""

    touchpoint: str
    started: float
    channel: Channel | None = None
    event: str = ""
    subject: str = ""
    positions: list[Position] = field(default_factory=list)
    verdict: str = ""
    code: str = ""
    reason: str = ""
    address: str = ""
    actor: str = ""
    method: str = ""
    target: str = ""
    trace: TraceContext | None = None
    span: OpenSpan | None = None
    is_logged: bool = True
    place: PlaceInHand | None = None
    standstills: int | None = None
    decided_s: float | None = None

    def trace_headers(self) -> Headers:
        """The header of the records that the call leaves in Kafka, if it has a trace."""
        return () if self.trace is None else handed_on(self.trace.traceparent)

    def response(self, answer: Answer) -> WholeResponse:
        """The HTTP response, with receipts if something was stored."""
        headers: dict[str, str] = {}
        if answer.body:
            headers["Content-Type"] = answer.content_type
        if self.positions:
            headers[EVENT_ID_HEADER] = self.event
            headers[POSITION_HEADER] = self._receipt()
        if answer.retry_after_s is not None:
            headers["Retry-After"] = str(answer.retry_after_s)
        if answer.revision is not None:
            headers["ETag"] = f'"{answer.revision}"'
        headers.update(answer.headers)
        return WholeResponse(status=answer.status, body=answer.body, headers=headers)

    def _receipt(self) -> str:
        if len(self.positions) == 1:
            return str(self.positions[0])
        shown = ", ".join(map(str, self.positions[:POSITIONS_MAX]))
        more = len(self.positions) - POSITIONS_MAX
        return f"{shown}, and {more} more" if more > 0 else shown
