"""Renders documents of /api/subscriptions as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sluice.cli.output import moment

Document = Mapping[str, Any]

SHOWN_ONCE = "keep it now: it is not shown again"


def render_list(found: Document) -> str:
    subscriptions = found["subscriptions"]
    unreadable = [f"{ascii(name)[1:-1]}  cannot be read (docs/unreadable.md)" for name in found.get("unreadable", ())]
    if not subscriptions and not unreadable:
        return "no subscriptions; add one with `sluice subscriptions add URL`"
    rows = [(one["id"], _state(one), ",".join(one["types"]), one["url"]) for one in subscriptions]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join([*lines, *unreadable])


def render(one: Document) -> str:
    return "\n".join(_lines(one))


def _lines(one: Document) -> Iterator[str]:
    yield f"{one['id']}: {_state(one)}"
    if one.get("secret"):
        yield f"  secret      {one['secret']}   ({SHOWN_ONCE})"
    if one.get("public_key"):
        yield f"  public key  {one['public_key']}"
    if one.get("not_verified"):
        yield f"  not verified: {one['not_verified']}"
        yield f"  it gets no facts before `sluice subscriptions verify {one['id']}` passes"
    yield f"  url         {one['url']}"
    yield f"  facts       {', '.join(one['types'])}{_only('channels', one)}{_only('locations', one)}"
    if one["description"]:
        yield f"  about       {one['description']}"
    signs = [f"since {moment(s['created_ms'])}{_until(s)}{_reference(s)}" for s in one["secrets"]]
    yield f"  signed      {one['signature']}: {'; '.join(signs)}"
    yield f"  verified    {moment(one['verified_ms']) if one['verified_ms'] else 'not yet'}"
    yield f"  revision    {one['revision']}"
    yield f"  last taken  {moment(one['last_success_ms']) if one['last_success_ms'] else 'nothing yet'}"
    if one["failing_since_ms"]:
        yield f"  failing     since {moment(one['failing_since_ms'])}: {one['last_error']}"
    if one["backlog"] is not None:
        yield from _backlog(one["id"], one["backlog"])


def _backlog(name: str, backlog: Document) -> Iterator[str]:
    oldest = f", the oldest since {moment(backlog['oldest_ms'])}" if backlog["oldest_ms"] else ""
    yield f"  waiting     facts of {backlog['orders']} orders{oldest}; as of {moment(backlog['as_of_ms'])}"
    if not backlog["blocked"]:
        return
    yield f"  blocked     {backlog['blocked']} of them; decide by `sluice subscriptions retry|skip {name}` and"
    for fact in backlog["blocked_facts"]:
        named = f"{fact['delivery']} --{fact['kind']} {shlex.quote(fact['code'])} --channel {fact['channel']}"
        yield f"    {named}   given up {moment(fact['dead_ms'])}, {fact['error']}"
    more = backlog["blocked"] - len(backlog["blocked_facts"])
    if more > 0:
        yield f"    and {more} more, shown when these are decided"


def _state(one: Document) -> str:
    disabled = one["disabled"]
    if disabled is None:
        return str(one["state"])
    why = {"gone": ", its endpoint answered 410", "failing": ", it failed for too long"}.get(disabled["reason"], "")
    since = f" at {moment(disabled['since_ms'])}" if disabled["since_ms"] else ""
    return f"disabled by {disabled['by']}{since}{why}"


def _only(name: str, one: Document) -> str:
    return f" of {name} {', '.join(one[name])}" if one[name] else ""


def _until(secret: Document) -> str:
    return f" until {moment(secret['until_ms'])}" if secret["until_ms"] else ""


def _reference(secret: Document) -> str:
    return f" ({secret['reference']})" if secret["reference"] else ""
