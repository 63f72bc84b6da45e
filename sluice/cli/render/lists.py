"""Lists of deliveries, dead letters, rejected records and due orders as text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sluice.cli.output import moment
from sluice.cli.render.tables import more_of, printable, table

Document = Mapping[str, Any]

BODY_CHARS_MAX = 2_000
"""Characters of a body that are shown; --json has all of it."""


def render_deliveries(document: Document) -> str:
    """Return a line for each delivery, with its attempts and body where they were asked for."""
    rows = document["deliveries"]
    if not rows:
        return "no deliveries"
    head = ("created", "code", "call", "to", "state", "attempts", "last", "id")
    lines = _table(head, [_delivery(one) for one in rows], "lLLLlrLl")
    shown = [next(lines)]
    for one, line in zip(rows, lines, strict=True):
        shown.append(line)
        shown += [f"    {text}" for text in _attempts(one["attempts"] or ())]
        shown += _body(one["body"])
    return "\n".join([*shown, *more_of(document, len(rows))])


def render_letters(document: Document) -> str:
    rows = document["deadLetters"]
    if not rows:
        return "nothing was given up or refused that waits for somebody"
    head = ("since", "code", "call", "to", "what", "reason", "attempts", "id")
    lines = _table(head, [_letter(one) for one in rows], "lLLLlLrl")
    shown = [next(lines)]
    for one, line in zip(rows, lines, strict=True):
        shown.append(line)
        if one["message"]:
            shown.append(f"    {printable(one['message'])}")
        shown += _body(one["body"])
    return "\n".join([*shown, *more_of(document, len(rows))])


def render_letter_groups(document: Document) -> str:
    """Return a line for each group, and the commands that send the largest again."""
    groups = document["groups"]
    if not groups:
        return "nothing was given up or refused that waits for somebody"
    head = ("count", "to", "call", "what", "reason", "first", "last", "example")
    rows = [
        (
            str(one["count"]),
            one["destination"],
            one["touchpoint"],
            _KINDS.get(one["kind"], one["kind"]),
            one["reason"],
            moment(one["firstMs"]),
            moment(one["lastMs"]),
            one["example"]["code"],
        )
        for one in groups
    ]
    lines = [*_table(head, rows, "rLLlLllL"), *_more(document)]
    given_up = next((one for one in groups if one["kind"] == "dead"), None)
    if given_up is not None:
        command = ["sluice", "redrive", "--destination", given_up["destination"], "--failure", given_up["reason"]]
        lines.append(f"to send the largest group of those given up again: {printable(shlex.join(command))}")
    refused = next((one for one in groups if one["kind"] == "refused"), None)
    if refused is not None:
        command = ["sluice", "orders", "resubmit", "--channel", refused["example"]["channel"]]
        command += ["--touchpoint", refused["touchpoint"], "--refusal", refused["reason"]]
        lines.append(f"to have the refused ones sent again: {printable(shlex.join(command))}")
    return "\n".join(lines)


def render_rejected(document: Document) -> str:
    rows = document["rejected"]
    if not rows:
        return "no rejected records"
    head = ("time", "role", "code", "kind", "key", "record")
    lines = _table(head, [_rejected(one) for one in rows], "lllLLL")
    shown = [next(lines)]
    for one, line in zip(rows, lines, strict=True):
        shown.append(line)
        if one["reason"]:
            shown.append(f"    {printable(one['reason'].strip().splitlines()[-1])}")
        shown += _body(one["body"])
    return "\n".join([*shown, *more_of(document, len(rows))])


def render_rejected_groups(document: Document) -> str:
    groups = document["groups"]
    if not groups:
        return "no rejected records"
    head = ("count", "role", "code", "kind", "topic", "first", "last", "example")
    rows = [
        (
            str(one["count"]),
            one["role"],
            one["code"],
            one["touchpoint"],
            one["topic"],
            moment(one["firstMs"]),
            moment(one["lastMs"]),
            _place(one["example"]),
        )
        for one in groups
    ]
    return "\n".join([*_table(head, rows, "rllLLllL"), *_more(document)])


def render_due(document: Document) -> str:
    """Return the counts, how fast the locations pack, and a line for each order."""
    counts, rows = document["counts"], document["orders"]
    many = "at least " if counts["more"] else ""
    soon = f"{counts['within2h']} due within 2 h, {counts['within4h']} within 4 h"
    lines = [f"{many}{counts['overdue']} overdue, {soon}, {counts['today']} until {moment(document['dayEndsMs'])}"]
    if document["locations"]:
        lines.append("")
        head = ("location", "packs an hour", "to pack", "done", "late")
        lines += _table(head, [_location(one) for one in document["locations"]], "Lrrlr")
    if rows:
        lines.append("")
        columns = ("due", "group", "order", "channel", "location", "state", "open", "place", "packed", "")
        lines += _table(columns, [_due(one) for one in rows], "llLLLlrrll")
    return "\n".join([*lines, *more_of(document, len(rows))])


def render_actions(document: Document) -> str:
    """Return a line for each action, and its reason below it."""
    rows = document["actions"]
    if not rows:
        return "no actions"
    head = ("time", "by", "action", "about", "ended", "result")
    lines = _table(head, [_action(one) for one in rows], "lllLlL")
    shown = [next(lines)]
    for one, line in zip(rows, lines, strict=True):
        shown.append(line)
        if one["reason"]:
            shown.append(f"    {printable(one['reason'])}")
        if one["message"]:
            shown.append(f"    {printable(one['message'])}")
    return "\n".join([*shown, *more_of(document, len(rows))])


_KINDS = {"dead": "given up", "refused": "refused"}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    return table([head, *rows], sides)


def _more(document: Document) -> list[str]:
    return ["there are more than these tell of"] if document["more"] else []


def _delivery(one: Document) -> Sequence[str]:
    last: str = str(one["lastError"] or "-") if one["lastStatus"] is None else str(one["lastStatus"])
    waits = f"{last}, next {moment(one['nextAtMs'])}" if one["nextAtMs"] else last
    return (
        moment(one["createdMs"]),
        one["code"],
        one["touchpoint"],
        one["destination"],
        one["state"],
        str(one["attemptCount"]),
        waits,
        one["id"],
    )


def _attempts(attempts: Sequence[Document]) -> Iterator[str]:
    for one in attempts:
        answer = one["status"] if one["status"] is not None else one["error"] or "no answer"
        yield printable(f"attempt {one['number']}  {moment(one['atMs'], exact=True)}  {answer} in {one['tookMs']:g} ms")


def _body(body: Document | None) -> list[str]:
    if body is None:
        return []
    if body["message"]:
        return [f"    body: {body['message']}"]
    if body["content"] is None and not body["text"]:
        return ["    body: nothing of it is kept"]
    text = body["text"] if body["content"] is None else json.dumps(body["content"], ensure_ascii=False)
    form = "" if body["form"] == "plain" else f" ({body['form']})"
    left = "…" if len(text) > BODY_CHARS_MAX else ""
    return [f"    body{form}: {printable(text[:BODY_CHARS_MAX])}{left}"]


def _letter(one: Document) -> Sequence[str]:
    what: str = _KINDS.get(one["kind"]) or one["kind"]
    if one["ended"]:
        what = f"{what}, then {one['ended']}"
    elif one["holdsLane"]:
        what = f"{what}, holds its lane"
    return (
        moment(one["diedMs"]),
        one["code"],
        one["touchpoint"],
        one["destination"],
        what,
        one["reason"],
        str(one["attemptCount"]),
        one["id"],
    )


def _rejected(one: Document) -> Sequence[str]:
    return moment(one["atMs"]), one["role"], one["code"], one["touchpoint"], one["key"], _place(one)


def _action(one: Document) -> Sequence[str]:
    many = f"{one['shown']} shown" if one["shown"] else "-"
    about = " ".join(part for part in (one["target"], one["order"]) if part) or many
    result = one["result"] if isinstance(one["result"], dict) else {}
    counts = ", ".join(f"{name} {value}" for name, value in result.items() if isinstance(value, str | int) and value)
    return moment(one["atMs"]), one["by"] or "-", one["action"], about, one["outcome"] or "not known", counts


def _place(one: Document) -> str:
    return f"{one['topic']}/{one['partition']}/{one['offset']}"


def _location(one: Document) -> Sequence[str]:
    done = moment(one["doneMs"]) if one["doneMs"] else "nobody can say" if one["queued"] else "-"
    return one["location"], f"{one['perHour']:g}", str(one["queued"]), done, str(one["late"])


def _due(one: Document) -> Sequence[str]:
    packed = moment(one["packedMs"]) if one["packedMs"] else "packed" if one["unitsOpen"] == 0 else "-"
    return (
        moment(one["dueMs"]),
        one["group"],
        one["code"],
        one["channel"],
        one["location"] or "-",
        one["state"],
        "-" if one["unitsOpen"] is None else str(one["unitsOpen"]),
        str(one["place"] or "-"),
        packed,
        "will be late" if one["isLate"] and one["group"] != "overdue" else "",
    )
