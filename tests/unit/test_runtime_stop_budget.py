"""A streams role that takes all the time its steps may take still ends before the supervisor loses patience."""

from __future__ import annotations

from sluice.local.stack import STAGES, STREAMS
from streams.runtime.limits import STOP_DRAIN_S, STOP_LEAVE_S, STOP_ROLE_S

STEPS_THAT_LEAVE = 3
"""The last commit of offsets, leaving the group, closing the producer."""


def test_the_steps_of_a_stop_fit_the_supervisors_patience() -> None:
    (stage,) = [stage for stage in STAGES if set(STREAMS) == set(stage.names)]
    assert stage.grace_s > STOP_ROLE_S + STOP_DRAIN_S + STEPS_THAT_LEAVE * STOP_LEAVE_S
