"""Makes all looks, each of which goes on where another finds a problem."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from sluice.cli.doctor import brokers, cluster, gateway, machine
from sluice.cli.doctor.findings import Examination, Level, Observation, report_of, unknown


async def examine(overrides: dict[str, Any], default_channels: dict[str, Any], url: str, *, tls: bool) -> Examination:
    """`overrides`: options of the command, which count more than the environment. `url`: of the gateway's admin port.
    `tls`: the brokers' ports are to speak TLS."""
    settings, channels, found = machine.configured(overrides, default_channels)
    looks = [asyncio.to_thread(gateway.look, url)]
    later: list[Observation] = []
    if channels is not None:
        looks.append(machine.look_at_destinations(channels))
    if settings is not None:
        later += machine.look_at_disk(settings)
        heard = await brokers.look(settings.kafka, expects_tls=tls)
        later += heard
        if all(one.level is Level.PROBLEM for one in heard if one.check == "broker") or any(
            one.level is Level.PROBLEM for one in heard if one.check == "protocol"
        ):
            later += [unknown(check, settings.kafka, "No broker can be asked") for check in cluster.DEPENDENT]
        else:
            own = channels if settings.channels_file is not None else None
            later += await cluster.look(settings, own)
    for each in await asyncio.gather(*looks):
        found += each
    return report_of([*found, *later], datetime.now(UTC).isoformat(timespec="seconds"))
