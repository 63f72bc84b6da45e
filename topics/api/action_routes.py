"""Entries of operators' actions: each is a preview, and the action that takes its token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from topics.api.actions import Act, DestinationControlDocument, PauseAsked, PreviewDocument
from topics.api.management import LaneDecided
from topics.api.query_parameters import CHANNEL, WAIT, QueryParameter
from topics.api.redrives import RedriveAsked, RedriveDocument
from topics.api.resubmissions import OrderResubmission, RefusedOfMany, RefusedOfOrder, ResubmissionDocument
from topics.api.route import Route, route_of
from topics.api.stock_operations import ControlDocument

NOT_AS_SHOWN: Final = "It is not as the preview showed, or the token was used; nothing was done, and `detail` says why"
_SHOWN: Final = {200: "What would be done; nothing is done"}
_REFUSED: Final = {403: "The preview is another operator's, or /api is closed", 410: "The preview is too old"}
DECISION: Final = "/deliveries/{request}/{action:retry|skip}"


def two_steps(
    name: str,
    path: str,
    summary: str,
    *,
    base: str,
    document: type[BaseModel],
    asked: type[BaseModel] | None = None,
    query: tuple[QueryParameter, ...] = (),
    preview: str = "",
    refusals: dict[int, str] | None = None,
    **more: Any,
) -> Iterator[Route]:
    """`asked`: the body of the preview, None: it has none; `query`: of both, and `wait` of the action. `preview`: the
    path of the preview, empty: `path` with `/preview` behind it."""
    own = dict(refusals or {})
    labelled = {"tag": more.pop("tag"), "label": more.pop("label")}
    kept = tuple(parameter for parameter in query if parameter is not WAIT)
    yield route_of(
        f"POST {preview or f'{path}/preview'}",
        f"preview-{name}",
        f"Show what would be done: {summary[0].lower()}{summary[1:]}",
        base=base,
        query=kept,
        body=asked,
        document=PreviewDocument,
        answers=_SHOWN,
        refusals={status: said for status, said in own.items() if status == 409},
        **labelled,
    )
    conflict = "; ".join(said for said in (own.pop(409, ""), NOT_AS_SHOWN) if said)
    yield route_of(
        f"POST {path}",
        name,
        summary,
        base=base,
        query=query,
        body=Act,
        document=document,
        refusals={**_REFUSED, **own, 409: conflict},
        **labelled,
        **more,
    )


_MANAGED: Final[dict[str, Any]] = {"tag": "management"}
_DECIDED: Final[dict[str, Any]] = {
    "document": LaneDecided,
    "answers": {200: "Applied", 202: "Stored; the delivery role takes it when it is back"},
    "receipts": True,
    "refusals": {409: "The delivery does not hold its lane; `detail` says what it is, and what can be done"},
    "label": "api-lane-decision",
}


def of_entity(one: str) -> Iterator[Route]:
    """The actions about deliveries of one order or return."""
    base = f"/api/{one}s/{{code}}"
    yield from two_steps(
        f"decide-{one}-delivery",
        DECISION,
        "Retry a delivery that was given up and holds its lane, or let its lane go on without it",
        base=base,
        query=(CHANNEL, WAIT),
        **_MANAGED,
        **_DECIDED,
    )
    yield from two_steps(
        f"resubmit-{one}",
        "/resubmit",
        f"Have refused deliveries of one {one} decided anew and sent again",
        base=base,
        label="api-resubmit",
        query=(CHANNEL, WAIT),
        asked=RefusedOfOrder,
        document=OrderResubmission,
        answers={200: "What came of each"},
        refusals={409: f"No delivery of the {one} was refused"},
        **_MANAGED,
    )


def of_subscription() -> Iterator[Route]:
    """The decisions about facts that hold the lane of their order at a subscriber."""
    about = tuple(QueryParameter(name) for name in ("order", "return", "manifest"))
    yield from two_steps(
        "decide-subscription-delivery",
        DECISION,
        "Retry a fact that was given up, or go on without it",
        base="/api/subscriptions/{id}",
        tag="subscriptions",
        query=(CHANNEL, WAIT, *about),
        **_DECIDED,
    )


_CONTROLLED: Final[dict[str, Any]] = {
    "tag": "stock",
    "label": "api-inventory",
    "base": "/api/inventory",
    "query": (WAIT,),
    "document": ControlDocument,
    "answers": {200: "It has taken effect", 202: "Stored; delivery does it within moments, or when it is back"},
    "receipts": True,
    "refusals": {409: "Another operator asked for something else at that moment, or the channel has no `read_back`"},
}
# Their previews have the word in front: behind it, it would be the code of a location.
_STOCK: Final = "/{action:pause|resume|resync|reconcile}/{channel}"

ACTION_ROUTES: Final[tuple[Route, ...]] = (
    *two_steps(
        "redrive",
        "",
        "Send requests again that were given up",
        base="/api/redrives",
        label="api-redrives",
        asked=RedriveAsked,
        document=RedriveDocument,
        answers={202: "The state of the redrive"},
        query=(WAIT,),
        refusals={409: "Another redrive is going on"},
        **_MANAGED,
    ),
    *two_steps(
        "resubmit",
        "",
        "Have refused deliveries of a channel decided anew and sent again",
        base="/api/resubmissions",
        label="api-resubmissions",
        asked=RefusedOfMany,
        document=ResubmissionDocument,
        answers={202: "The state of the resubmission"},
        query=(WAIT,),
        refusals={409: "Another resubmission is going on"},
        **_MANAGED,
    ),
    *two_steps(
        "control-destination",
        "/{destination}/{action:pause|resume}",
        "Send nothing to a destination, or go on sending",
        base="/api/destinations",
        label="api-destinations",
        asked=PauseAsked,
        document=DestinationControlDocument,
        answers={200: "Stored; every delivery worker follows it within a second"},
        receipts=True,
        refusals={409: "It is not paused, or another operator controlled it at the same moment"},
        **_MANAGED,
    ),
    *two_steps(
        "control-stock",
        _STOCK,
        "Pause, resume, resync or reconcile the stock of a channel",
        preview=f"/preview{_STOCK}",
        **_CONTROLLED,
    ),
    *two_steps(
        "control-stock-of-location",
        f"{_STOCK}/{{location}}",
        "Pause, resume, resync or reconcile the stock of a channel at a location",
        preview=f"/preview{_STOCK}/{{location}}",
        **_CONTROLLED,
    ),
)
