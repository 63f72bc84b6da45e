"""Findings of `sluice doctor`: of each check what is so, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "configuration": "settings and channels.toml can be read, and say nothing that contradicts itself",
        "credential": "the secrets that channels.toml names are there, and /api has a token",
        "broker": "each broker can be reached, where Sluice is told to look and where Kafka says that it is",
        "protocol": "the broker's port speaks what Sluice speaks: Kafka's protocol, without TLS and SASL",
        "topics": "every topic is there, with the partitions and the configuration of the catalogue",
        "replication": "topics have as many replicas as the settings say, and enough of them are in sync for a write",
        "workers": "each role has a worker, and none has more workers than partitions",
        "instances": "no two workers of a role have the same instance name",
        "clock": "this machine, the gateway's and those that wrote the newest records have the same time",
        "disk": "there is room for local state, and for the journal if it is a file",
        "destinations": "the hosts of far sides can be found and reached from here",
        "gateway": "a gateway answers, and takes calls",
        "journal": "the journal can be read, and has what the topics have",
    }
)
"""Each check, and what holds where nothing is found."""


class Level(StrEnum):
    """How bad a finding is. `unknown`: it could not be looked at, because of another finding."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    PROBLEM = "problem"


class Observation(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    check: str = Field(description="The check, as docs/doctor.md names it")
    level: Level = Field(description="ok, unknown, warning or problem")
    about: str = Field(description="What was looked at: a broker, a topic, a role, a host, a directory")
    what: str = Field(description="What is so")
    do: str = Field(description="What to do about it; empty where there is nothing to do")


class Examination(BaseModel):
    """Everything that was looked at, in the order of the checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    healthy: bool = Field(description="No finding is a problem")
    at: str = Field(description="When, in UTC")
    findings: list[Observation]


def ok(check: str, about: str, what: str) -> Observation:
    return Observation(check=check, level=Level.OK, about=about, what=what, do="")


def unknown(check: str, about: str, what: str) -> Observation:
    return Observation(check=check, level=Level.UNKNOWN, about=about, what=what, do="Mend what is found above first")


def warning(check: str, about: str, what: str, do: str) -> Observation:
    return Observation(check=check, level=Level.WARNING, about=about, what=what, do=do)


def problem(check: str, about: str, what: str, do: str) -> Observation:
    return Observation(check=check, level=Level.PROBLEM, about=about, what=what, do=do)


def report_of(found: Iterable[Observation], at: str) -> Examination:
    """The findings in the order of the checks."""
    places = {name: place for place, name in enumerate(CHECKS)}
    findings = sorted(found, key=lambda one: places[one.check])
    return Examination(healthy=all(one.level is not Level.PROBLEM for one in findings), at=at, findings=findings)
