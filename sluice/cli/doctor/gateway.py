"""Looks at the gateway, and through it at the journal."""

from __future__ import annotations

import email.utils
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final

from sluice.cli.doctor.findings import Observation, ok, problem, unknown, warning
from sluice.cli.gateway_client import ask
from sluice.errors import StartError

LIVE_S: Final = 5.0
JOURNAL_AGE_MS: Final = 60_000
"""The journal is usually a second behind. A minute is what people notice, and what no restart takes."""
APART_S: Final = 5.0
"""Clocks that are so far apart are wrong; `Date` has whole seconds, and the answer takes a moment."""


def look(url: str, now_s: Callable[[], float] = time.time) -> list[Observation]:
    """Blocks while the gateway answers."""
    found = clock_told(url, now_s)
    try:
        document = ask(url, "GET", "/api/status")
    except StartError as error:
        do = "Start it with `sluice run gateway`, give its admin port with --url, or set SLUICE_API_TOKEN"
        return [*found, problem("gateway", url, str(error), do), unknown("journal", url, "No gateway answers")]
    return [*found, gateway_told(url, document), journal_told(document)]


def clock_told(url: str, now_s: Callable[[], float]) -> list[Observation]:
    """The clock of the gateway's machine, by the `Date` of its answer."""
    if not url.startswith(("http://", "https://")):
        return []
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/live", timeout=LIVE_S) as answer:  # noqa: S310 - checked above
            said = answer.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        said = error.headers.get("Date", "")
    except (OSError, ValueError):
        return []
    try:
        apart = email.utils.parsedate_to_datetime(said).timestamp() - now_s()
    except ValueError:
        return []
    if abs(apart) <= APART_S:
        return [ok("clock", "gateway", "Its clock and this machine's agree")]
    what = f"The gateway's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    return [problem("clock", "gateway", what, "Let NTP (chrony, systemd-timesyncd) set the clocks of both machines")]


def gateway_told(url: str, document: dict[str, Any]) -> Observation:
    why = document["gatewayUnready"]
    if why is None:
        return ok("gateway", url, "It takes calls")
    return problem("gateway", url, f"It takes no calls: {why}", "Look at the finding about the broker, and at its log")


def journal_told(document: dict[str, Any]) -> Observation:
    """Whether the journal can be read, and how far it is behind."""
    journal, age_ms, lag = document["journal"], document["journal"]["ageMs"], document["journal"]["lagRecords"]
    if not journal["isReachable"]:
        do = "Start `sluice run journal`, and give the gateway the same SLUICE_JOURNAL_URL"
        return problem("journal", "journal", str(journal["message"]), do)
    if age_ms is not None and age_ms > JOURNAL_AGE_MS:
        what = f"It is {age_ms / 1000:.0f} s behind the topics, by {lag} records"
        do = "Look whether `sluice run journal` runs, at its log, and at the load of its database"
        return problem("journal", "journal", what, do)
    if age_ms is None:
        return warning("journal", "journal", "It is not known how far it is behind", "Ask again when Kafka answers")
    return ok("journal", "journal", f"It is {age_ms / 1000:.0f} s behind the topics")
