"""A page for each alert, made from its definition, so that no alert lacks one and no page has no alert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitoring.alert import PAGE, Alert, Step
from monitoring.catalogue import ALERTS

GENERATED = "<!-- Made by `python -m monitoring`; do not edit. -->"
_INDEX = """\
# What do I do when an alert fires?

Each alert has a page: what it means, what users notice, how to see the cause, what ends it, and when it is over. `page`
wakes somebody, `ticket` waits for the day. How alerts reach you is in [monitoring.md](../monitoring.md). Commands ask
the gateway's admin port; `--url`, or `SLUICE_URL`, names it, and `SLUICE_API_TOKEN` has the token."""


def pages() -> dict[str, str]:
    """Text by name of the file below docs/runbooks."""
    by_slug: dict[str, list[Alert]] = {}
    for alert in ALERTS:
        by_slug.setdefault(alert.slug, []).append(alert)
    found = {f"{slug}.md": _page(alerts) for slug, alerts in by_slug.items()}
    found["README.md"] = _index(by_slug)
    return found


def _index(by_slug: dict[str, list[Alert]]) -> str:
    rows = [
        f"| [{alerts[0].name}]({slug}.md) | {' and '.join(_severities(alerts))} | {alerts[0].summary} |"
        for slug, alerts in by_slug.items()
    ]
    return "\n".join([GENERATED, "", _INDEX, "", "| alert | severity | summary |", "|---|---|---|", *rows, ""])


def _severities(alerts: Sequence[Alert]) -> list[str]:
    return sorted({alert.severity for alert in alerts})


def _page(alerts: Sequence[Alert]) -> str:
    one = alerts[0]
    parts = [
        GENERATED,
        f"# {one.name}",
        *_what(alerts),
        "## What users notice",
        one.notice,
        "## How do I see the cause?",
    ]
    parts += [*_steps(one.look), "## What ends it?", *_steps(one.end), "## When is it over?", _over(alerts)]
    return "\n\n".join(parts) + "\n"


def _what(alerts: Sequence[Alert]) -> Iterable[str]:
    if len(alerts) == 1:
        one = alerts[0]
        woken = "somebody is woken" if one.severity == PAGE else "somebody looks within the day"
        yield one.means
        when = "as soon as this holds" if one.hold == "0m" else f"once this has held for {one.hold}"
        yield f"It fires {when} ({one.severity}: {woken}):"
        yield f"```promql\n{one.expr}\n```"
        return
    yield alerts[0].means.partition(" Its error budget")[0]
    yield "It fires when the error budget of 30 days burns too fast in two windows at once:"
    yield "\n".join(
        ["| severity | rule |", "|---|---|", *(f"| {alert.severity} | `{alert.expr}` |" for alert in alerts)]
    )


def _over(alerts: Sequence[Alert]) -> str:
    return alerts[0].over if len(alerts) == 1 else f"{alerts[0].over} The slower windows follow."


def _steps(steps: Sequence[Step]) -> Iterable[str]:
    for step in steps:
        yield step.words
        if step.commands:
            yield "```console\n" + "\n".join(f"$ {command}" for command in step.commands) + "\n```"
