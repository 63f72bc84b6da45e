"""A streams role that takes all the time its steps may take still ends before the supervisor loses patience, and the
supervisor, with roles that hang, before the user does; Kafka gets the time that it needs to write out what it has."""

from __future__ import annotations

from gateway.app import ANSWER_S
from gateway.app import STOP_S as GATEWAY_STOP_S
from sluice.dev.local.stack import KAFKA_STOP_S, STAGES, STREAMS
from streams.runtime.limits import STOP_CUT_OFF_S, STOP_S

PROMISED_S = 10.0
"""Ctrl-C ends `sluice up` within it, with roles that hang and a Kafka that ends in its usual second or two."""
KAFKA_USUAL_S = 2.0


def test_the_steps_of_a_stop_fit_the_supervisors_patience() -> None:
    (stage,) = [stage for stage in STAGES if set(STREAMS) == set(stage.names)]
    assert stage.grace_s > STOP_CUT_OFF_S > STOP_S


def test_all_stages_together_fit_what_ctrl_c_promises() -> None:
    begins = ended = 0.0
    for stage in STAGES:
        takes_s = KAFKA_USUAL_S if stage.names == {"kafka"} else stage.grace_s  # when all of its roles hang
        ended = max(ended, begins + takes_s)
        begins = ended if stage.lead_s is None else begins + stage.lead_s
    assert ended < PROMISED_S


def test_kafka_is_killed_only_when_it_does_not_end_even_on_a_busy_machine() -> None:
    """A kill costs the next start the recovery of every log; it goes last, when nobody waits for it any more."""
    last = STAGES[-1]
    assert (set(last.names), last.grace_s) == ({"kafka"}, KAFKA_STOP_S)
    assert KAFKA_STOP_S > 5 * KAFKA_USUAL_S


def test_the_gateway_cancels_what_goes_on_before_it_is_killed() -> None:
    (stage,) = [stage for stage in STAGES if "gateway" in stage.names]
    assert stage.grace_s > GATEWAY_STOP_S + ANSWER_S
