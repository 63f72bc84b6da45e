"""`sluice orders` without a subcommand: orders by what they wait for, over a gateway's API."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any, Final

import click

from sluice.cli.gateway_client import ask
from sluice.cli.options import with_options
from sluice.cli.output import moment

PAGE_MAX: Final = 200
"""The largest page of the API."""
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE: Final = re.compile(r"(\d{1,6})([smhd])")


class Age(click.ParamType):
    """A length of time as `90s`, `15m`, `2h` or `3d`, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _AGE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time: write 90s, 15m, 2h or 3d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


list_options = with_options(
    click.option("--channel", help="Only of this channel."),
    click.option("--kind", type=click.Choice(["order", "return", "manifest"]), help="Only of this kind."),
    click.option("--state", help="Only in this state, as SUBMITTED."),
    click.option("--cause", metavar="CAUSE", help="Only those that wait for this, as given-up (docs/story.md)."),
    click.option("--location", help="Only of this location."),
    click.option("--open/--over", "is_open", default=None, help="Only those to which something is still to happen."),
    click.option("--older-than", type=Age(), metavar="AGE", help="Only those that came longer ago, as 2h."),
    click.option("--newer-than", type=Age(), metavar="AGE", help="Only those that came since then."),
    click.option("--due-within", type=Age(), metavar="AGE", help="Open ones that are overdue or due by then."),
    click.option("--text", help="Only those with an id that is this, or begins with it."),
    click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."),
)
"""Options of a list of orders."""
_NAMES: Final = {
    "is_open": "open",
    "older_than": "olderThan",
    "newer_than": "newerThan",
    "due_within": "dueWithin",
}


def list_orders(gateway: str, *, limit: int, as_json: bool, **filters: Any) -> None:
    """Print the orders that fit all filters. Pages are followed until there are enough."""
    asked = {_NAMES.get(name, name): _text(value) for name, value in filters.items() if value is not None}
    query = urllib.parse.urlencode({**asked, "limit": min(limit, PAGE_MAX)})
    path: str | None = f"/api/orders?{query}"
    found: list[dict[str, Any]] = []
    while path is not None and len(found) < limit:
        page = ask(gateway, "GET", path)
        found += page["orders"]
        path = page["next"]
    more = path is not None or len(found) > limit
    found = found[:limit]
    if as_json:
        click.echo(json.dumps({"orders": found, "next": path}, indent=2, ensure_ascii=False))
        return
    for one in found:
        for line in _lines(one):
            click.echo(line)
    if not found:
        click.echo("no order fits")
    if more:
        click.echo("there are more: --limit N shows them")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines(one: dict[str, Any]) -> list[str]:
    kind = "" if one["kind"] == "order" else f"{one['kind']} "
    where = f"  {one['location']}" if one["location"] else ""
    due = f"  due {moment(one['dueMs'])}" if one["dueMs"] is not None and one["isOpen"] else ""
    lines = [f"{kind}{one['code']}  {one['channel']}  {one['state']}  {moment(one['receivedMs'])}{where}{due}"]
    wait = one["wait"]
    if wait is not None:
        lines.append(f"    {wait['cause']}: {wait['sentence']}")
    return lines
