"""Documents of the list of deliveries."""

from __future__ import annotations

from typing import Any

from topics.api.management import AttemptDocument
from topics.schema_base import Body


class BodyDocument(Body):
    """The body of a request or of a rejected record, as SLUICE_JOURNAL_PERSONAL lets it be kept. `form`: `plain`,
    `encrypted` (opened here) or `reduced`, which lacks all that may name people. `content`: its JSON; null: it is none,
    and `text` has it; both null: nothing of it is kept, or it cannot be opened and `message` says why. `bytes`: of the
    original."""

    form: str
    bytes: int
    content: Any
    text: str | None
    message: str | None


class ListedDelivery(Body):
    """A delivery in a list. `state`: queued, retrying or held while it waits; then delivered, refused, dead (given
    up), skipped, resubmitted, superseded or unknown (no attempt is known). `attemptCount`: attempts so far; `attempts`
    null: not asked for; the newest are shown where there are very many. `lastStatus` null: no answer, and `lastError`
    says why. `nextAtMs` null: it does not wait for a time. `message`: the far side's last words, if they are kept.
    `body` null: not asked for, or it has none."""

    id: str
    order: str
    channel: str
    code: str
    destination: str
    touchpoint: str
    state: str
    createdMs: int
    attemptCount: int
    lastAtMs: int | None
    lastStatus: int | None
    lastError: str | None
    nextAtMs: int | None
    isInDoubt: bool
    message: str | None
    attempts: list[AttemptDocument] | None
    body: BodyDocument | None


class DeliveryList(Body):
    """A page of deliveries, the newest first. `next`: the path of the next page; null: this is the last. With filters
    that fit few, a page may be short or empty and have a `next`: it ends after so many rows were looked at."""

    deliveries: list[ListedDelivery]
    next: str | None
