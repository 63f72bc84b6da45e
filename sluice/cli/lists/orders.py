"""`sluice orders` without a subcommand: orders by what they wait for, over a gateway's API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from sluice.cli.lists.pages import limit_option, rows_of
from sluice.cli.options import gateway_options, with_options
from sluice.cli.output import moment, show

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE: Final = re.compile(r"(\d{1,6})([smhd])")


class Age(click.ParamType):
    """A length of time as `90s`, `15m`, `2h` or `3d`, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        found = _AGE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time: write 90s, 15m, 2h or 3d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


@click.command("orders", short_help="List orders by what they wait for.")
@with_options(
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
)
@with_options(limit_option, gateway_options)
def list_orders(
    gateway: str,
    as_json: bool,
    limit: int,
    is_open: bool | None,
    older_than: int | None,
    newer_than: int | None,
    due_within: int | None,
    **filters: Any,
) -> None:
    """List orders, returns and manifests with what each waits for, the newest first."""
    asked = {
        **filters,
        "open": None if is_open is None else str(is_open).lower(),
        "olderThan": older_than,
        "newerThan": newer_than,
        "dueWithin": due_within,
    }
    document = rows_of(gateway, "/api/orders", asked, "orders", limit)
    show(document, lambda found: "\n".join(_lines(found)), as_json=as_json)


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document["orders"]:
        kind = "" if one["kind"] == "order" else f"{one['kind']} "
        where = f"  {one['location']}" if one["location"] else ""
        due = f"  due {moment(one['dueMs'])}" if one["dueMs"] is not None and one["isOpen"] else ""
        yield f"{kind}{one['code']}  {one['channel']}  {one['state']}  {moment(one['receivedMs'])}{where}{due}"
        wait = one["wait"]
        if wait is not None:
            yield f"    {wait['cause']}: {wait['sentence']}"
    if not document["orders"]:
        yield "no order fits"
    if document["next"]:
        yield "there are more: --limit N shows them"
