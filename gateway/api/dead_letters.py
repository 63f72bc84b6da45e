"""PURE: the records of deliveries.dead, and which of them an operator means.

A request may be given up several times, and a later record says what became of it: the last record counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from gateway.api.steps.tokens import digest_of_all
from gateway.ports import LogRecord
from topics.api.actions import SAMPLES_MAX, PreviewSample
from topics.records.deliveries import Attempt, Concluded, DeliveryRequest, Redrive, decode_concluded
from topics.records.envelope import DELIVERY_CONCLUDED, DELIVERY_DEAD, DELIVERY_REFUSED
from topics.records.json_record import decode_by
from topics.records.reading import Epochs, made_by
from topics.records.unreadable import UNREADABLE
from topics.values import Value

CHOSEN_MAX = 100_000
"""Requests of one job. The id and offset of each are kept in memory, together some 40 MB."""
GROUPS_MAX = 100
"""Groups of requests that are counted separately."""
REASON_CHARS_MAX = 80
SAMPLED_MAX = 100
"""Chosen letters that are kept for samples: a later record may say that one of them has ended."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A request that was given up, as deliveries.dead has it. `refused`: its order goes by the refusal, so it is not
    redriven, but decided anew (gateway/api/resubmissions)."""

    request: DeliveryRequest
    attempts: int
    status: int | None
    error: str
    message: str
    previous: int
    watermark: int | None
    refused: bool = False
    at_ms: int | None = None
    """When its last attempt was."""

    @property
    def reason(self) -> str:
        return str(self.status) if self.status is not None else (self.error or "no answer")[:REASON_CHARS_MAX]

    def redrive(self, id_: str) -> Redrive:
        return Redrive(
            id=id_, request=self.request, attempts=self.attempts, previous=self.previous, watermark=self.watermark
        )


def read(record: LogRecord) -> DeadLetter | Concluded | None:
    """A record of deliveries.dead; None: this version does not know its type, or cannot read it."""
    try:
        return _read(record)
    except Exception as error:  # noqa: BLE001 - whatever it holds, the records behind it are read
        UNREADABLE.note("deliveries.dead", record.key, error, offset=record.offset)
        return None


def _read(record: LogRecord) -> DeadLetter | Concluded | None:
    kind = dict(record.headers).get("ce_type", b"").decode()
    if kind == DELIVERY_CONCLUDED:
        return decode_concluded(record.value)
    if kind not in (DELIVERY_DEAD, DELIVERY_REFUSED):
        return None
    written = decode_by(_WRITTEN, record.value)
    last = written.last
    return DeadLetter(
        request=written.request,
        attempts=written.attempts,
        status=last.status if last is not None else None,
        error=last.error if last is not None else "",
        message=written.message,
        previous=written.previous,
        watermark=written.watermark,
        refused=kind == DELIVERY_REFUSED,
        at_ms=last.at_ms if last is not None else None,
    )


class _Written(Value, frozen=True, kw_only=True):
    """A dead letter's members, as far as a redrive needs them. The request's body is passed on, and not decoded."""

    request: DeliveryRequest
    attempts: int
    last: Attempt | None
    message: str
    previous: int = 0
    watermark: int | None = None


_WRITTEN = msgspec.json.Decoder(_Written)


class Placed(Protocol):
    """The place of a chosen letter."""

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...


class LetterChoice(ABC):
    """The choice among the letters, by the orders and times that are asked for. `more`: others fit, and there was no
    room for them; which were chosen then is chance. `sampled`: some of the chosen, as a preview shows them."""

    chosen: Mapping[str, Placed]

    def __init__(self, orders: Collection[str], since: datetime | None, until: datetime | None) -> None:
        self._orders = frozenset(orders)
        self._since_ms = epoch_ms(since)
        self._until_ms = epoch_ms(until)
        self._epochs = Epochs()
        self.more = False
        self.sampled: dict[str, DeadLetter] = {}

    @property
    def since_ms(self) -> int:
        """Records before this time need not be read."""
        return self._since_ms or 0

    def on_record(self, partition: int, record: LogRecord) -> None:
        """Takes one record into account. Records of a partition have to come in their order."""
        if self._epochs.is_stale(partition, made_by(record.headers).epoch):
            return
        found = read(record)
        if isinstance(found, DeadLetter):
            self._on_letter(partition, record, found)
            name = found.request.id
            if name in self.chosen and len(self.sampled) < SAMPLED_MAX:
                self.sampled[name] = found
        elif found is not None and found.how.settles:
            self._forget(found.request)

    def sample_letters(self) -> list[DeadLetter]:
        """Some of the chosen letters."""
        return [letter for name, letter in self.sampled.items() if name in self.chosen][:SAMPLES_MAX]

    def samples(self) -> list[PreviewSample]:
        """The same as a preview shows them."""
        return [_sample_of(letter) for letter in self.sample_letters()]

    def digest(self) -> str:
        """A digest of the chosen letters."""
        return digest_of_all(f"{name}|{place.partition}|{place.offset}" for name, place in self.chosen.items())

    @abstractmethod
    def _on_letter(self, partition: int, record: LogRecord, letter: DeadLetter) -> None:
        """Chooses the letter, or not."""

    @abstractmethod
    def _forget(self, request: str) -> None:
        """Leaves a request out that has another end since."""

    def _is_meant(self, letter: DeadLetter, time_ms: int) -> bool:
        """Whether the letter is of these orders and this time."""
        return (
            (not self._orders or letter.request.subject in self._orders)
            and (self._since_ms is None or time_ms >= self._since_ms)
            and (self._until_ms is None or time_ms < self._until_ms)
        )


def _sample_of(letter: DeadLetter) -> PreviewSample:
    request = letter.request
    return PreviewSample(
        id=request.id,
        code=request.subject,
        channel=request.channel,
        destination=request.destination,
        touchpoint=request.touchpoint,
        what=letter.message or letter.reason,
    )


def starts_of(places: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The first offset in each partition, of pairs of both."""
    starts: dict[int, int] = {}
    for partition, offset in places:
        starts[partition] = min(offset, starts.get(partition, offset))
    return starts


def is_reason(wanted: str, letter: DeadLetter) -> bool:
    if wanted.isascii() and wanted.isdigit():
        return letter.status == int(wanted)
    text = wanted.casefold()
    return text in letter.error.casefold() or text in letter.message.casefold()


def epoch_ms(time: datetime | None) -> int | None:
    """Epoch milliseconds. A time without an offset is UTC, whatever the time zone of this machine."""
    if time is None:
        return None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
