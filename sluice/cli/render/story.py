"""Renders the story of an order as text: what it is, what it waits for, what to do, where its time went."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice.cli.output import moment

Document = Mapping[str, Any]

LATE_MS: Final = 5_000
"""A journal that is less behind is not: what came meanwhile is told a moment later."""
WIDTH: Final = 100
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def render_story(story: Document) -> str:
    """Return the story without its moments."""
    return "\n".join(_sections(story))


def render_moments(story: Document) -> str:
    """Return everything that happened, as the story knows it."""
    return "\n".join(["", "What happened", *(f"  {line}" for one in story["moments"] for line in [moment_line(one)])])


def moment_line(one: Document) -> str:
    """Return something that happened, with its proof."""
    return f"{moment(one['atMs'], exact=True)}  {one['text']}  [{_place(one['proof'])}]"


def duration(ms: int) -> str:
    """Return a time in its two largest units, as `2 h 5 min`."""
    if ms < 1_000:
        return f"{max(ms, 0)} ms"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, ms = divmod(ms, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def _sections(story: Document) -> Iterator[str]:
    yield from textwrap.wrap(_what(story), WIDTH)
    behind_ms = story["journalBehindMs"]
    if behind_ms is not None and behind_ms >= LATE_MS:
        yield f"  The journal is {duration(behind_ms)} behind: what came since then is not told here."
    wait, *others = story["waits"] or (None,)
    if wait is None:
        yield "  It waits for nothing."
    else:
        yield from _wait(wait, story["toldAtMs"])
    if others:
        yield "\nIt also waits"
        for other in others:
            yield from _wrapped(f"{other['cause']}: {other['sentence']}", 2)
    yield from _account(story["account"])


def _what(story: Document) -> str:
    units = [(line["open"], line["ordered"]) for line in story["lines"]]
    left, of = sum(one for one, _ in units), sum(one for _, one in units)
    counts = f", {left} of {of} units open" if left else ""
    due = f", due {moment(story['dueMs'])}" if story["dueMs"] is not None else ""
    where = f" at {story['location']}" if story["location"] else ""
    hold = ", on hold" if story["onHold"] else ""
    what = f"{story['kind'].capitalize()} {story['code']} of {story['channel']}"
    if story["state"] == "UNKNOWN":
        return f"{what} is not known yet."
    return f"{what} is {story['state']} since {moment(story['stateSinceMs'])}{where}{counts}{hold}{due}."


def _wait(wait: Document, now_ms: int) -> Iterator[str]:
    late = "  (past its time)" if wait["isLate"] else ""
    yield f"\nIt waits: {wait['cause']}{late}"
    yield from _wrapped(wait["sentence"], 2)
    yield f"  since {moment(wait['sinceMs'])} ({duration(now_ms - wait['sinceMs'])})"
    if wait["untilMs"] is not None:
        left_ms = wait["untilMs"] - now_ms
        yield f"  until {moment(wait['untilMs'])} ({f'in {duration(left_ms)}' if left_ms > 0 else 'over'})"
    yield f"  shown by {_place(wait['proof'])}, {wait['proof']['what']}"
    yield "\nWhat to do"
    for action in wait["actions"]:
        if action["command"]:
            yield f"  {action['command']}"
            yield from _wrapped(action["does"], 6)
        else:
            yield from _wrapped(action["does"], 2)


def _account(account: Document) -> Iterator[str]:
    whole = account["wholeMs"]
    parts = sorted(account["parts"].items(), key=lambda one: -one[1])
    spent = [f"{duration(ms)} {part}" for part, ms in parts if ms]
    if spent:
        yield ""
        yield from textwrap.wrap(f"Where its {duration(whole)} went: {', '.join(spent)}", WIDTH, subsequent_indent="  ")


def _place(proof: Document) -> str:
    return f"{proof['topic']}/{proof['partition']}/{proof['offset']}"


def _wrapped(text: str, spaces: int) -> list[str]:
    indent = " " * spaces
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
