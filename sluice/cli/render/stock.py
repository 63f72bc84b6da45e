"""How `sluice inventory` shows to a person what a gateway tells of stock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Document = Mapping[str, Any]

_STATUS = ("", "dirty", "oldest", "sent/s", "changes per send", "refused", "")
_REFUSED = ("location", "SKU", "reason", "failures", "since")
_REASONS = {"failure-list": "in failureList", "refused": "call refused"}


def render_status(document: Document) -> str:
    """A line for each channel, and below it one for each of its locations that has something to tell."""
    rows: list[Sequence[str]] = [_STATUS]
    for channel in document["channels"]:
        rows.append(_numbers(channel["channel"], channel))
        rows += [_numbers(f"  {place['location']}", place) for place in channel["locations"]]
        if channel["left"]:
            rows.append((f"  and {channel['left']} more", "", "", "", "", "", ""))
    return "\n".join(_table(rows, "lrrrrrl"))


def render_refused(document: Document) -> str:
    total, shown = document["total"], document["refused"]
    if not shown:
        return f"{document['channel']} refuses nothing"
    rows: list[Sequence[str]] = [_REFUSED]
    for one in shown:
        reason = _REASONS.get(one["reason"], one["reason"])
        because = f"{reason}, {one['status']}" if one["status"] is not None else reason
        row = (one["location"], one["channelSkuCode"], because, str(one["failures"]), _time(one["sinceMs"]))
        rows.append(row)
    lines = list(_table(rows, "lllrl"))
    if len(shown) < total:
        lines.append(f"{len(shown)} of {total}; --all shows all")
    return "\n".join(lines)


def render_control(action: str, document: Document) -> str:
    """What was asked, and what holds from now on."""
    whom = document["channel"] if document["location"] is None else f"{document['channel']} {document['location']}"
    if action in ("pause", "resume"):
        return f"{whom}: paused; nothing is sent" if document["paused"] else f"{whom}: not paused"
    ask = document[action]
    paused = "; it waits, because it is paused" if document["paused"] else ""
    return f"{whom}: {action} {ask['id']} asked for at {_time(ask['atMs'])}{paused}"


def render_snapshot(told: Document) -> str:
    """What became of a snapshot, and of an upload where it was one."""
    whose, received = f"{told['location']} of {told['channel']}", told["received"]
    why = f": {told['reason']}" if told["reason"] else ""
    changed = f"{told['changed']:,} changed, {told['unchanged']:,} unchanged"
    lines = [
        f"{told['snapshot']}: {told['state']}{why}, {whose}, since {_time(told['begunMs'])}",
        f"  {received:,} SKUs: {changed}, {told['overtaken']:,} overtaken by updates",
    ]
    if told["complete"]:
        lines.append(f"  {told['zeroed']:,} SKUs that it does not name were set to 0")
    if told.get("notComplete"):
        lines.append(f"  nothing was set to 0: {told['notComplete']}")
    if told.get("refused"):
        lines.append(f"  {told['refused']:,} of {told['lines']:,} lines refused")
        lines += [f"    line {one['line']}: {one['error']}" for one in told["errors"]]
        if unlisted := told["refused"] - len(told["errors"]):
            lines.append(f"    and {unlisted:,} more, not listed")
    return "\n".join(lines)


def _numbers(name: str, told: Document) -> Sequence[str]:
    conflation = told["conflation"]
    notes = ["paused"] if told["paused"] else []
    resync = told["resync"]
    if resync is not None:
        notes.append(f"resync {resync['told']} of {resync['total']}")
    if told["reconcile"] is not None:
        notes.append(_reconciled(told["reconcile"]))
    return (
        name,
        str(told["dirty"]),
        _age(told["oldestAgeMs"]),
        f"{told['sentPerS']:.1f}",
        "-" if conflation is None else f"{conflation:.2f}",
        str(told["refused"]),
        ", ".join(notes),
    )


def _reconciled(told: Document) -> str:
    """The last reconciliation, in a few words."""
    if told["failed"]:
        return "reconcile failed: the channel does not say what it has"
    if told["endedMs"] is None:
        return f"reconciling, {told['compared']} compared"
    kinds = [f"{told[kind]} {kind}" for kind in ("missing", "stale", "extra", "refused") if told[kind]]
    if not kinds:
        return f"reconciled: {told['compared']} as they should be"
    persisting = f", {told['persisting']} persist" if told["persisting"] else ""
    return f"reconciled: {', '.join(kinds)} of {told['compared']}; {told['repaired']} sent again{persisting}"


def _age(age_ms: int | None) -> str:
    if age_ms is None:
        return "-"
    seconds = age_ms / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _table(rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    """`sides`: of each column, `l` or `r`."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides))]
    for row in rows:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
