"""Stock documents of a gateway, as `sluice inventory` shows these to a person."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.cli.output import moment
from sluice.cli.render.tables import age, table
from topics.api.stock_operations import (
    ControlDocument,
    ReconcileResult,
    RefusedSkusDocument,
    StockNumbers,
    StockStatusDocument,
)

Document = Mapping[str, Any]

_STATUS = ("", "dirty", "oldest", "sent/s", "changes per send", "refused", "")
_REFUSED = ("location", "SKU", "reason", "failures", "since")
_REASONS = {"failure-list": "in failureList", "refused": "call refused"}


def render_status(answer: Document) -> str:
    """A line for each channel, and below it one for each of its locations with something to show."""
    document = StockStatusDocument.model_validate(answer)
    rows: list[Sequence[str]] = [_STATUS]
    for channel in document.channels:
        rows.append(_numbers(channel.channel, channel))
        rows += [_numbers(f"  {location.location}", location) for location in channel.locations]
        if channel.left:
            rows.append((f"  and {channel.left} more", "", "", "", "", "", ""))
    return "\n".join(table(rows, "lrrrrrl"))


def render_refused(answer: Document) -> str:
    document = RefusedSkusDocument.model_validate(answer)
    if not document.refused:
        return f"{document.channel} refuses nothing"
    rows: list[Sequence[str]] = [_REFUSED]
    for one in document.refused:
        reason = _REASONS.get(one.reason, one.reason)
        because = f"{reason}, {one.status}" if one.status is not None else reason
        rows.append((one.location, one.channelSkuCode, because, str(one.failures), moment(one.sinceMs)))
    lines = list(table(rows, "lllrl"))
    if len(document.refused) < document.total:
        lines.append(f"{len(document.refused)} of {document.total}; --all shows all")
    return "\n".join(lines)


def render_control(action: str, answer: Document) -> str:
    """The control that holds from now on."""
    document = ControlDocument.model_validate(answer)
    whom = document.channel if document.location is None else f"{document.channel} {document.location}"
    ask = {"resync": document.resync, "reconcile": document.reconcile}.get(action)
    done = {None: "", True: "; done", False: "; not done yet: delivery has not said so"}[document.done]
    if document.channelPaused and not document.paused:
        said = "not paused itself" if ask is None else f"{action} {ask.id} asked for at {moment(ask.atMs)}"
        resume = shlex.join(["sluice", "inventory", "resume", document.channel])
        late = done if document.done is False else ""
        return f"{whom}: {said}; it waits, because channel {document.channel} is paused: `{resume}`{late}"
    if ask is None:
        paused = "paused" if document.done is False else "paused; nothing is sent"  # not before delivery says so
        return f"{whom}: {paused if document.paused else 'not paused'}{done}"
    paused = "; it waits, because it is paused" if document.paused else ""
    return f"{whom}: {action} {ask.id} asked for at {moment(ask.atMs)}{paused}{done}"


def render_snapshot(answer: Document) -> str:
    """The outcome of a snapshot, and of an upload where it was one."""
    of, received = f"{answer['location']} of {answer['channel']}", answer["received"]
    why = f": {answer['reason']}" if answer["reason"] else ""
    changed = f"{answer['changed']:,} changed, {answer['unchanged']:,} unchanged"
    lines = [
        f"{answer['snapshot']}: {answer['state']}{why}, {of}, since {moment(answer['begunMs'])}",
        f"  {received:,} SKUs: {changed}, {answer['overtaken']:,} overtaken by updates",
    ]
    if answer["complete"]:
        lines.append(f"  {answer['zeroed']:,} SKUs that it does not name were set to 0")
    if answer.get("notComplete"):
        lines.append(f"  nothing was set to 0: {answer['notComplete']}")
    if answer.get("refused"):
        lines.append(f"  {answer['refused']:,} of {answer['lines']:,} lines refused")
        lines += [f"    line {one['line']}: {one['error']}" for one in answer["errors"]]
        if unlisted := answer["refused"] - len(answer["errors"]):
            lines.append(f"    and {unlisted:,} more, not listed")
    return "\n".join(lines)


def _numbers(name: str, numbers: StockNumbers) -> Sequence[str]:
    notes = ["paused"] if numbers.paused else []
    if numbers.resync is not None:
        notes.append(f"resync {numbers.resync.told} of {numbers.resync.total}")
    if numbers.reconcile is not None:
        notes.append(_reconciled(numbers.reconcile))
    return (
        name,
        str(numbers.dirty),
        age(numbers.oldestAgeMs),
        f"{numbers.sentPerS:.1f}",
        "-" if numbers.conflation is None else f"{numbers.conflation:.2f}",
        str(numbers.refused),
        ", ".join(notes),
    )


def _reconciled(result: ReconcileResult) -> str:
    """The last reconciliation, in a few words."""
    if result.failed:
        return "reconcile failed: the channel does not say what it has"
    if result.endedMs is None:
        return f"reconciling, {result.compared} compared"
    counts = result.counts()
    kinds = [f"{counts[kind]} {kind}" for kind in ("missing", "stale", "extra", "refused") if counts[kind]]
    if not kinds:
        return f"reconciled: {result.compared} as they should be"
    persisting = f", {result.persisting} persist" if result.persisting else ""
    return f"reconciled: {', '.join(kinds)} of {result.compared}; {result.repaired} sent again{persisting}"
