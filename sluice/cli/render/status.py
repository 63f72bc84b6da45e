"""The state of everything in one screen, and destinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluice.cli.output import moment
from sluice.cli.render.tables import age, more_of, printable, table

Document = Mapping[str, Any]

BEHIND_MS = 10_000
"""A role or the journal that is less behind is not worth a line: it is some seconds behind after a rebalance."""
WORKERS_SHOWN = 3
SIDES = "LlrrrlL"
_HEAD = ("destination", "health", "waits", "oldest", "held", "budget", "")


def render(document: Document) -> str:
    """Return the screen: roles, journal, what waits, destinations, and what is wrong."""
    return "\n".join(_screen(document))


def troubles(document: Document) -> list[str]:
    """Return a sentence for all that is wrong, and what to do about it."""
    return [*_part_troubles(document), *_role_troubles(document), *_destination_troubles(document)]


def render_destinations(document: Document) -> str:
    """Return a line for each destination, with its limits, and a line for each class that waits."""
    rows = document["destinations"]
    if not rows:
        return "no destinations"
    lines = table([_HEAD, *map(_destination, rows)], SIDES)
    shown = [next(lines)]
    for one, line in zip(rows, lines, strict=True):
        shown.append(line)
        shown += [
            f"    {queue['priority']}: {queue['count']}, the oldest since {moment(queue['oldestMs'])}"
            + (f", {queue['held']} held" if queue["held"] else "")
            for queue in one["queue"]
        ]
        shown += [f"    budget {limit['name']}: {_limit(limit)}" for limit in one["limits"]]
    return "\n".join([*shown, *more_of(document, len(rows))])


def _screen(document: Document) -> Iterator[str]:
    now_ms = document["nowMs"]
    yield f"Sluice at {moment(now_ms)}"
    yield ""
    if document["roles"] is not None:
        head = ("role", "state", "workers", "partitions", "behind", "since")
        yield from table([head, *(_role(role, now_ms) for role in document["roles"])], "llLrrr")
        yield ""
    yield _journal(document["journal"])
    waits = document["undelivered"]
    if waits is not None:
        oldest = f", the oldest for {age(now_ms - waits['oldestMs'])}" if waits["oldestMs"] is not None else ""
        yield f"waiting: {waits['waiting']}{oldest}; {waits['deadLetters']} dead letters without an end"
    if document["destinations"]:
        yield ""
        yield from table([_HEAD, *(_destination(one, now_ms) for one in document["destinations"])], SIDES)
        if document["unlisted"]:
            yield f"and {document['unlisted']} more: sluice destinations"
    found = troubles(document)
    yield ""
    yield from found or ["nothing is wrong"]


def _role(role: Document, now_ms: int) -> Sequence[str]:
    names = [one["name"] for one in role["workers"]]
    more = f" and {len(names) - WORKERS_SHOWN} more" if len(names) > WORKERS_SHOWN else ""
    lacking = f", {role['unassigned']} of nobody" if role["unassigned"] else ""
    since_ms = _since_ms(role)
    return (
        role["role"],
        role["state"],
        f"{', '.join(names[:WORKERS_SHOWN])}{more}" or "-",
        f"{role['partitions']}{lacking}",
        str(sum(one["records"] for one in role["lag"])),
        age(None if since_ms is None else max(now_ms - since_ms, 0)),
    )


def _since_ms(role: Document) -> int | None:
    return min((one["oldestMs"] for one in role["lag"] if one["oldestMs"] is not None), default=None)


def _journal(journal: Document) -> str:
    if not journal["isReachable"]:
        return "journal: cannot be read"
    behind = "how far behind is not known" if journal["ageMs"] is None else f"{age(journal['ageMs'])} behind"
    last = f", its last record is of {moment(journal['recordMs'])}" if journal["recordMs"] else ", it is empty"
    return f"journal: {behind}{last}"


def _destination(one: Document, now_ms: int | None = None) -> Sequence[str]:
    oldest = "-"
    if one["oldestMs"] is not None:
        oldest = moment(one["oldestMs"]) if now_ms is None else age(now_ms - one["oldestMs"])
    notes = []
    if one["pause"] is not None:
        end = f" until {moment(one['pause']['untilMs'])}" if one["pause"]["untilMs"] else ""
        notes.append(f"by {one['pause']['by']}{end}: {one['pause']['reason']}")
    if one["quietUntilMs"] is not None:
        notes.append(f"quiet until {moment(one['quietUntilMs'])}")
    if one["error"]:
        since = f" since {moment(one['sinceMs'])}" if one["sinceMs"] is not None and one["pause"] is None else ""
        notes.append(f"{one['error']}{since}")
    held = sum(queue["held"] for queue in one["queue"])
    return (
        one["name"],
        one["health"],
        f"{one['waiting']}{'+' if one['atLeast'] else ''}",
        oldest,
        str(held),
        ", ".join(map(_limit, one["limits"])) or "none",
        "; ".join(notes),
    )


def _limit(limit: Document) -> str:
    if limit["windowS"] is None:
        return f"{limit['limit']} at once, {limit['perSecond']:g}/s"
    window = f"{limit['limit']} in {limit['windowS']:g} s"
    return f"{limit['left']} left of {window}" if limit["left"] is not None else window


def _part_troubles(document: Document) -> Iterator[str]:
    if document["gatewayUnready"]:
        yield f"! this gateway takes no calls: {printable(document['gatewayUnready'])}"
    for name in ("kafka", "journal"):
        if not document[name]["isReachable"]:
            yield f"! {printable(document[name]['message'])}"
    age_ms = document["journal"]["ageMs"]
    if age_ms is not None and age_ms > BEHIND_MS:
        yield f"! the journal is {age(age_ms)} behind, so what it tells is old: look at the log of `sluice run journal`"


def _role_troubles(document: Document) -> Iterator[str]:
    for role in document["roles"] or ():
        name = role["role"]
        if role["state"] == "no worker":
            yield f"! no worker of {name} runs: start one with `sluice run {name}`, or look at its log"
            continue
        if role["unassigned"]:
            what = "a rebalance goes on; if this stays" if role["state"] == "rebalancing" else "if this stays"
            yield f"! {role['unassigned']} partitions of {name} have no worker; {what}, look at the log of {name}"
        since_ms = _since_ms(role)
        late_ms = document["nowMs"] - since_ms if since_ms is not None else 0
        if name != "journal" and late_ms > BEHIND_MS:
            yield f"! {name} is {age(late_ms)} behind: look at its /ready and sluice_runtime_partition_paused"


def _destination_troubles(document: Document) -> Iterator[str]:
    for one in document["destinations"] or ():
        held = sum(queue["held"] for queue in one["queue"])
        if one["health"] in ("down", "failing"):
            yield f"! {one['name']} is {one['health']}: {printable(one['error'] or '')}; look at its endpoint"
        if held:
            yield f"! {held} deliveries to {one['name']} hold their lanes: `sluice deliveries --state held`"
