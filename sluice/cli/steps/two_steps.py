"""The two steps of an operator's action: its preview is shown, and what it showed is carried out once it is wanted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from sluice.cli.gateway_client import ask, ask_of_either
from sluice.cli.options import with_options
from sluice.cli.output import moment

HOW_TO = "nothing was done; --yes --reason TEXT does it"

Post = Callable[[str, Any, int], Any]
"""Asks with POST: what is added to the path of the action, the body, and how long to wait for the effect."""


class Wanted(NamedTuple):
    """The words of the operator about the action."""

    reason: str | None
    yes: bool
    dry_run: bool


step_options = with_options(
    click.option("--reason", metavar="TEXT", help="Why; the log of actions says it. Needed to act."),
    click.option("--yes", is_flag=True, help="Act on what the preview shows, without a question."),
    click.option("--dry-run", is_flag=True, help="Only show what would be done."),
)


def check(wanted: Wanted) -> None:
    """Raises UsageError for what contradicts itself, before anything is asked."""
    if wanted.yes and wanted.dry_run:
        raise click.UsageError("--yes acts, --dry-run does not: give only one of them")
    if wanted.yes and not (wanted.reason or "").strip():
        raise click.UsageError("--reason TEXT is needed to act: the log of actions says it")


def at(gateway: str, path: str, preview: str | None = None) -> Post:
    """Asks about the action with this path, which may have a query. `preview`: the path of its preview, where it is
    another than `path` with `/preview` behind it."""
    place, _, query = path.partition("?")

    def post(suffix: str, body: Any, wait_s: int) -> Any:
        named = "&".join(part for part in (query, f"wait={wait_s}" if wait_s else "") if part)
        target = preview if suffix and preview is not None else place + suffix
        return ask(gateway, "POST", f"{target}{f'?{named}' if named else ''}", body, wait_s=wait_s)

    return post


def at_either(gateway: str, code: str, path: str, channel: str | None) -> Post:
    """Asks about an action on the order with this code, or on the return."""

    def post(suffix: str, body: Any, wait_s: int) -> Any:
        return ask_of_either(gateway, code, path + suffix, channel, body, wait_s=wait_s)

    return post


def carry_out(post: Post, asked: Any, wanted: Wanted, *, as_json: bool, wait_s: int = 0, nothing: int = 0) -> Any:
    """Show the preview, and act on it if that is wanted. Returns the answer to the action; None: nothing was done, and
    the preview was shown. Where nobody has to answer, it goes to standard error, and the answer to the action alone to
    standard output. `nothing`: the exit code where there is nothing to do."""
    check(wanted)
    preview = post("/preview", asked, 0)
    acts = wanted.yes or (not wanted.dry_run and preview["token"] is not None and is_terminal())
    if as_json and not acts:
        click.echo(json.dumps(preview, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(preview)), err=as_json or wanted.yes)
    if preview["token"] is None and nothing:
        sys.exit(nothing)
    if preview["token"] is None or (as_json and not acts):
        return None
    reason = reason_to_act(wanted)
    if reason is None:
        return None
    return post("", {"token": preview["token"], "reason": reason}, wait_s)


def reason_to_act(wanted: Wanted) -> str | None:
    """Return why what was shown is to be done, after a question where none is answered yet; None: it is not to be
    done, which is said. A command without a terminal asks nothing."""
    reason = (wanted.reason or "").strip()
    if wanted.yes:
        return reason
    if wanted.dry_run or not is_terminal():
        click.echo(HOW_TO)
        return None
    click.confirm("Do this?", abort=True, err=True)
    return reason or str(click.prompt("Why", err=True))


def is_terminal() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty()


def lines(preview: Any) -> Iterator[str]:
    """The preview for people."""
    for group in preview["groups"]:
        yield f"{group['count']:>8}  {group['name']}"
    found = f"{preview['action']}: {preview['count']}"
    yield f"{found}, and {preview['left']} that cannot be done" if preview["left"] else found
    for sample in preview["samples"]:
        about = (sample["code"], sample["touchpoint"], sample["id"])
        yield f"    {'  '.join(one for one in (*about, sample['what']) if one)}"
    if preview["before"]:
        yield f"now: {_state(preview['before'])}"
        yield f"then: {_state(preview['after'])}"
    if preview["more"]:
        yield "there are more than one action takes: name times with --since and --until"
    yield f"the far side: {preview['farSide']}"
    if preview["untilMs"] is not None:
        yield f"holds until {moment(preview['untilMs'])}"


def _state(state: dict[str, Any]) -> str:
    parts = [f"{name} {_value(name, value)}" for name, value in state.items() if value not in (None, "")]
    return ", ".join(parts)


def _value(name: str, value: Any) -> str:
    return moment(value) if name.endswith("Ms") and isinstance(value, int) else str(value)
