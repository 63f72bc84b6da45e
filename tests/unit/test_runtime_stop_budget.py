"""A streams role that takes all the time its steps may take still ends before the supervisor loses patience, and the
supervisor, with roles that hang, before the user does."""

from __future__ import annotations

from sluice.local.stack import STAGES, STREAMS
from streams.runtime.limits import STOP_DRAIN_S, STOP_LEAVE_S, STOP_ROLE_S

STEPS_THAT_LEAVE = 3
"""The last commit of offsets, leaving the group, closing the producer."""
PROMISED_S = 10.0
"""Ctrl-C ends `sluice up` within it."""


def test_the_steps_of_a_stop_fit_the_supervisors_patience() -> None:
    (stage,) = [stage for stage in STAGES if set(STREAMS) == set(stage.names)]
    assert stage.grace_s > STOP_ROLE_S + STOP_DRAIN_S + STEPS_THAT_LEAVE * STOP_LEAVE_S


def test_all_stages_together_fit_what_ctrl_c_promises() -> None:
    begins = ended = 0.0
    for stage in STAGES:
        ended = max(ended, begins + stage.grace_s)  # when all of its roles hang
        begins = ended if stage.lead_s is None else begins + stage.lead_s
    assert ended < PROMISED_S
