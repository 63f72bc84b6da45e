"""Rejected records: written to `commands.rejected`, their bytes untouched, with the reason in headers."""

from __future__ import annotations

import traceback

from streams.runtime.limits import REASON_BYTES_MAX, VALUE_BYTES_MAX
from streams.runtime.role import Effect, Poison, Record

REJECTED_TOPIC = "commands.rejected"
DECISION_FAILED = "decision_failed"
"""Code of a record whose decision raised an exception other than Poison."""
TOO_LARGE = "too_large"
"""Code of a record whose effects or state would not fit the topics' record limit."""


class RejectsEverythingError(RuntimeError):
    """So many records in a row were set aside that the role, not the records, must be wrong."""


class RejectLimit:
    """Counts records that were rejected without a good one between them, over all partitions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_a_row = 0

    def passed(self) -> None:
        self.in_a_row = 0

    def rejected(self, code: str, reason: str) -> None:
        """Raises RejectsEverythingError at the limit."""
        self.in_a_row += 1
        if self.in_a_row >= self._limit:
            last = reason.strip().splitlines()[-1] if reason.strip() else ""
            raise RejectsEverythingError(
                f"{self.in_a_row} records in a row were rejected and none was good: this role cannot read its input."
                f" The last reason: {code}: {last}"
            )


def reason_of(error: Exception) -> str:
    """The traceback, or its end when it is long: that is where the error is."""
    return "".join(traceback.format_exception(error))[-REASON_BYTES_MAX:]


def too_large(what: str, value: bytes) -> Poison:
    return Poison(TOO_LARGE, f"{what} would have {len(value)} bytes; at most {VALUE_BYTES_MAX} fit")


def rejection(record: Record, *, role: str, topic: str, code: str, reason: str) -> Effect:
    """The original record with the reason and its origin; `topic` is the full name of the topic it was read from."""
    about = [
        ("sluice-rejected-code", code.encode()),
        ("sluice-rejected-reason", reason.encode()[:REASON_BYTES_MAX]),
        ("sluice-rejected-topic", topic.encode()),
        ("sluice-rejected-partition", b"%d" % record.partition),
        ("sluice-rejected-offset", b"%d" % record.offset),
        ("sluice-rejected-role", role.encode()),
        ("sluice-rejected-at-ms", b"%d" % record.timestamp_ms),
    ]
    value = record.value
    if len(value) + sum(len(content) for _, content in record.headers) > VALUE_BYTES_MAX:
        # With these headers it would fit no topic. The original stays readable at the place that the headers name.
        about.append(("sluice-rejected-value-bytes", b"%d" % len(value)))
        return Effect(REJECTED_TOPIC, record.key, b"", tuple(about))
    return Effect(REJECTED_TOPIC, record.key, value, (*record.headers, *about))
