"""Sla: how long an order of a channel may take for each step before it counts as stuck, and when it is forgotten.

The defaults report orders that somebody should look at on the same day; a channel that promises more sets less.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from topics.values import Value

_MINUTE_S = 60.0
_HOUR_S = 3_600.0
_DAY_S = 86_400.0
FORGET_S_MIN = 2 * _DAY_S
"""Delivery remembers a lane for a day after its last request: an order that came back sooner would be a repeat."""


class Policy(Value, frozen=True, kw_only=True):
    """A channel's Sla for the order machine, in whole milliseconds; 0: nothing is reported, nothing is forgotten.

    `handover`: the channel takes part in the handover, so an order is only gone when it was handed over.
    `resubmit_ms`: how long after a refusal the same Create asks Increff again; None: never.
    """

    submit_ms: int = 0
    acknowledge_ms: int = 0
    pack_ms: int = 0
    handover_ms: int = 0
    dispatch_near_ms: int = 0
    forget_ms: int = 0
    forget_manifests_ms: int = 0
    handover: bool = True
    resubmit_ms: int | None = None


NO_POLICY = Policy()


class Sla(BaseModel):
    """The table `sla` of a channel, in seconds; 0 switches a member off."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    submit_s: float = Field(
        default=15 * _MINUTE_S, ge=0, description="received, and not accepted by Increff; 0 switches it off, as below"
    )
    acknowledge_s: float = Field(default=4 * _HOUR_S, ge=0, description="accepted by Increff, and not acknowledged")
    pack_s: float = Field(default=24 * _HOUR_S, ge=0, description="acknowledged, and units are still not packed")
    handover_s: float = Field(default=24 * _HOUR_S, ge=0, description="a shipment is packed, and not handed over")
    dispatch_near_s: float = Field(
        default=2 * _HOUR_S,
        ge=0,
        description="how long before `dispatchByTime` an order that has not left is reported; at most half of the "
        "time the order had",
    )
    forget_after_s: float = Field(
        default=90 * _DAY_S,
        ge=0,
        description="how long after their last event finished orders and returns are forgotten: longer than returns "
        "may come and calls may be repeated; 0 keeps them for ever",
    )
    forget_manifests_after_s: float = Field(
        default=30 * _DAY_S, ge=0, description="the same for manifests, to which no later call refers"
    )

    @field_validator("forget_after_s", "forget_manifests_after_s")
    @classmethod
    def _not_too_soon(cls, after_s: float) -> float:
        if 0 < after_s < FORGET_S_MIN:
            raise ValueError(f"must be 0 or at least {FORGET_S_MIN:.0f}: calls for it may be repeated until then")
        return after_s

    def policy(self, *, handover: bool, resubmit_after_s: float | None = None) -> Policy:
        return Policy(
            submit_ms=_ms(self.submit_s),
            acknowledge_ms=_ms(self.acknowledge_s),
            pack_ms=_ms(self.pack_s),
            handover_ms=_ms(self.handover_s) if handover else 0,
            dispatch_near_ms=_ms(self.dispatch_near_s),
            forget_ms=_ms(self.forget_after_s),
            forget_manifests_ms=_ms(self.forget_manifests_after_s),
            handover=handover,
            resubmit_ms=None if resubmit_after_s is None else _ms(resubmit_after_s),
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


DEFAULT_POLICY = Sla().policy(handover=True)
"""The policy of a channel that is no longer configured."""
