"""Enumerations whose members are found at once."""

from __future__ import annotations

from enum import StrEnum

import pytest

from streams.order.model.events import EventKind
from streams.order.model.states import OrderState
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict


@pytest.mark.parametrize("kind", [EventKind, OrderState, OutcomeKind, Verdict])
def test_members_and_values_of_hot_enumerations_are_plain_attributes(kind: type[StrEnum]) -> None:
    for name, member in kind.__members__.items():
        assert vars(kind)[name] is member, "EnumType.__getattr__ would be asked for it"
        assert getattr(kind, name) is kind(member.value) is kind[name] is member
        assert member.value == str(member) == member._value_
    assert isinstance(vars(kind)["value"], property), "enum.property would be asked for it"


def test_a_member_is_still_never_assigned_to() -> None:
    with pytest.raises(AttributeError, match="cannot reassign member"):
        Verdict.APPLIED = Verdict.FAILED  # type: ignore[misc]
