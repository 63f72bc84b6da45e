"""Pages of a list of the gateway's /api, its options, and groups of commands that list when none of them is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import click
from click.core import ParameterSource

from sluice.cli.gateway_client import ask
from sluice.cli.options import with_options

PAGE_MAX = 200
"""Rows of the largest page (topics/api/query_parameters.PAGE_LIMIT)."""
PAGES_MAX = 100
"""Pages that one command asks for: with a filter that fits few rows, pages are short."""
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Ago(click.ParamType):
    """A time, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time as the API takes it."""
        text = str(value)
        number, unit = text[:-1], text[-1:]
        if unit in _UNITS and number.isascii() and number.isdigit():
            try:
                at = datetime.now(UTC) - timedelta(seconds=int(number) * _UNITS[unit])
            except OverflowError:
                self.fail(f"{text}: so long ago was nothing", param, ctx)
            return at.isoformat(timespec="seconds")
        try:
            datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text}: expected a time as 2026-11-25T08:00:00Z, or how long ago, as 30m, 2h or 1d", param, ctx)
        return text


limit_option = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="Rows to show, at most."
)
time_options = with_options(
    click.option("--since", type=Ago(), metavar="TIME", help="At this time or later; or so long ago, as 2h or 1d."),
    click.option("--until", type=Ago(), metavar="TIME", help="Before this time."),
)


def path_of(path: str, filters: Mapping[str, Any]) -> str:
    """Return a path with the filters that were given. Raises UsageError for an empty one: it comes of a variable that
    is not set, and left out it would show all."""
    query: dict[str, str] = {}
    for name, value in filters.items():
        if value == "":
            raise click.UsageError(f"--{name} is empty")
        if value is True:
            query[name] = "true"
        elif value is not None and value is not False:
            query[name] = str(value)
    return f"{path}?{urlencode(query)}" if query else path


def rows_of(url: str, path: str, filters: Mapping[str, Any], member: str, limit: int) -> dict[str, Any]:
    """Return the document of a list with `limit` rows, from as many pages as that takes. `member`: that has the rows.
    Its `next` leads to what is not shown."""
    following: str | None = path_of(path, {**filters, "limit": min(limit, PAGE_MAX)})
    document: dict[str, Any] = {}
    for _ in range(PAGES_MAX):
        if following is None:
            break
        page = ask(url, "GET", following)
        document = {**page, member: [*document.get(member, ()), *page[member]]}
        following = page["next"]
        if len(document[member]) >= limit:
            break
    if len(document[member]) > limit:  # the last page had more than there was room for
        document[member] = document[member][:limit]
    return document


def with_list(group: click.Group, command: click.Command) -> None:
    """Have a group do what a command does when none of its own commands is named."""
    list_callback = command.callback
    group.invoke_without_command, group.no_args_is_help = True, False
    group.params = [*group.params, *command.params]

    @click.pass_context
    def run(context: click.Context, /, **values: Any) -> None:
        if context.invoked_subcommand is None:
            if list_callback is not None:
                list_callback(**values)
            return
        for one in command.params:
            if one.name and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE:
                name = context.invoked_subcommand
                raise click.UsageError(
                    f"{one.opts[0]} belongs behind {name}: `{context.command_path} {name} {one.opts[0]}`"
                )

    group.callback = run
