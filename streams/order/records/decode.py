"""Decodes a record on orders.commands as an event. A record that is none is poison, with the reason.

Direct producers write the same records as the gateway: the entity is derived again, and a body is validated unless a
gateway has signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from msgspec.structs import replace
from pydantic import ValidationError

from streams.order.model.canonical import digest_in_steps
from streams.order.model.events import OF_TOUCHPOINT, Event, EventKind, kind_of_command, kind_of_outcome
from streams.order.records.reply_addresses import ReplyAddresses
from streams.runtime.role import Poison, Record
from topics.configuration.channels import Channel, Channels
from topics.contract.definition import Entity, Mode, Touchpoint
from topics.contract.entities import EntityError, entity_code, key_of_code
from topics.contract.leniency import CallMembers, normalised, read_call, read_call_in_steps
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import decode_outcome
from topics.records.envelope import (
    CALL_REFUSED,
    COMMAND,
    DELIVERY_OUTCOME,
    ORDER_QUERY,
    RESUBMIT,
    RETURN_CLAIMED,
    RETURN_DECIDED,
    SENT_ID_CHARS_MAX,
    SHIPMENT_MANIFESTED,
    Envelope,
    EnvelopeError,
    parse,
)
from topics.records.json_text import JsonTextError, read
from topics.records.keys import manifest_key, order_key, return_key, split
from topics.records.models import CallRefused, ResubmitAsked, ReturnClaimed, ReturnDecided, ShipmentManifestedTold
from topics.records.shape import NESTING_MAX, has_too_many_values, is_too_deep
from topics.records.signing import Signer
from topics.records.verdicts import Address
from topics.records.word import said_ms
from topics.schema_base import VALUES_MAX, Body, canonical, problems

OUTCOME_VALUES_MAX = VALUES_MAX + 100
"""Values of an outcome: those of the largest answer that delivery passes on, and of the outcome around it."""

_INTERNAL: Final[dict[str, tuple[EventKind, type[Body]]]] = {
    RETURN_CLAIMED: (EventKind.RETURN_CLAIMED, ReturnClaimed),
    RETURN_DECIDED: (EventKind.RETURN_DECIDED, ReturnDecided),
    SHIPMENT_MANIFESTED: (EventKind.SHIPMENT_MANIFESTED, ShipmentManifestedTold),
}


def decode_event(
    record: Record,
    channels: Channels,
    relay_deadline_ms: int,
    addresses: ReplyAddresses,
    signer: Signer,
    values_max: int = VALUES_MAX,
) -> Event:
    """The event of a record. Raises Poison."""
    envelope, channel = _sent(record, channels)
    if envelope.type == DELIVERY_OUTCOME:
        return _outcome(record, envelope, channel)
    is_validated = _is_validated(record, envelope, signer)
    members = _members(record, values_max, is_validated=is_validated)
    if envelope.type == ORDER_QUERY:
        return _query(members, envelope, addresses.address_of(envelope))
    if envelope.type == RESUBMIT:
        return _resubmit(members, envelope, channel, addresses.address_of(envelope), is_validated=is_validated)
    if envelope.type == CALL_REFUSED:
        return _refused_call(members, envelope)
    if envelope.type in _INTERNAL:
        return _internal(members, envelope, channel)
    touchpoint = _touchpoint(envelope)
    if touchpoint is None:
        raise Poison("UNKNOWN_TYPE", f"header ce_type: orders.commands does not carry {envelope.type}")
    call = _signed(touchpoint, members) if is_validated else _validated(touchpoint, members)
    return _command(record, call, envelope, touchpoint, channel, relay_deadline_ms, addresses.address_of(envelope))


def decode_in_steps(
    record: Record,
    channels: Channels,
    relay_deadline_ms: int,
    addresses: ReplyAddresses,
    signer: Signer,
    values_max: int = VALUES_MAX,
) -> Generator[None, None, Event]:
    """As `decode_event`, in steps between which others may have the event loop. A call's event has its digest, too.
    Raises what that raises, or ValidationError."""
    envelope, channel = _sent(record, channels)
    touchpoint = _touchpoint(envelope)
    if touchpoint is None:
        return decode_event(record, channels, relay_deadline_ms, addresses, signer, values_max)
    is_validated = _is_validated(record, envelope, signer)
    yield
    members = _members(record, values_max, is_validated=is_validated)
    yield
    call = _signed(touchpoint, members) if is_validated else (yield from read_call_in_steps(touchpoint, members))
    yield
    payload = yield from digest_in_steps(touchpoint.request, call.read)
    address = addresses.address_of(envelope)
    return _command(record, call, envelope, touchpoint, channel, relay_deadline_ms, address, payload)


def _sent(record: Record, channels: Channels) -> tuple[Envelope, Channel]:
    """The envelope of a record, and the channel that it names. Raises Poison."""
    try:
        envelope = parse(record.headers)
    except EnvelopeError as error:
        raise Poison("BAD_ENVELOPE", str(error)) from error
    channel = channels.channels.get(envelope.channel)
    if channel is None:
        raise Poison("UNKNOWN_CHANNEL", f"header sluice-channel: {envelope.channel} is not configured")
    return envelope, channel


def _touchpoint(envelope: Envelope) -> Touchpoint | None:
    """The touchpoint of a call that orders.commands carries; None for every other record."""
    found = BY_NAME.get(envelope.type.removeprefix(COMMAND)) if envelope.type.startswith(COMMAND) else None
    return found if found is not None and found.name in OF_TOUCHPOINT else None


def _is_validated(record: Record, envelope: Envelope, signer: Signer) -> bool:
    """Whether a gateway has signed the record, which it has validated then."""
    signature = envelope.signature
    return bool(signature) and signer.is_signed(envelope.type, record.key, record.value, signature)


def _signed(touchpoint: Touchpoint, members: dict[str, Any]) -> CallMembers:
    """The members of a call that was validated before."""
    # What an earlier version has signed may have the names of that version.
    own = canonical(touchpoint.name, members)
    # It has signed members of a query string as text, too.
    return CallMembers(own, normalised(touchpoint.request, own) if touchpoint.query else own)


def _command(
    record: Record,
    call: CallMembers,
    envelope: Envelope,
    touchpoint: Touchpoint,
    channel: Channel,
    relay_deadline_ms: int,
    reply_to: Address | None,
    payload: str = "",
) -> Event:
    _check_id(envelope)
    members = call.read
    try:
        code = entity_code(touchpoint, members)
    except EntityError as error:
        raise Poison("BAD_DATA", str(error)) from error
    deadline_ms = envelope.deadline_ms
    if deadline_ms is None and touchpoint.mode is Mode.RELAY:
        deadline_ms = record.timestamp_ms + relay_deadline_ms
    return Event(
        kind=kind_of_command(touchpoint.name, members),
        id=envelope.id,
        traceparent=envelope.traceparent,
        channel=envelope.channel,
        code=code,
        key=key_of_code(touchpoint, envelope.channel, code),
        body=members,
        own=call.own if call.differs else None,
        touchpoint=touchpoint,
        offered=channel.offers(touchpoint),
        reply_to=reply_to,
        deadline_ms=deadline_ms,
        unknown_orders=channel.unknown_orders,
        policy=channel.policy,
        said_ms=said_ms(envelope.time_ms, record.timestamp_ms),
        payload=payload,
    )


def _check_id(envelope: Envelope) -> None:
    """Raises Poison for an id that is too long for what follows from the event to be named by it."""
    if len(envelope.id) > SENT_ID_CHARS_MAX:
        raise Poison("BAD_ENVELOPE", f"header ce_id may have at most {SENT_ID_CHARS_MAX} characters")


def _validated(touchpoint: Touchpoint, members: dict[str, Any]) -> CallMembers:
    """Raises Poison naming the fields."""
    try:
        return read_call(touchpoint, members)
    except ValidationError as error:
        raise Poison("BAD_DATA", f"{touchpoint.name}: {'; '.join(problems(error))}") from error


def _members(record: Record, values_max: int, *, is_validated: bool) -> dict[str, Any]:
    if not is_validated and has_too_many_values(record.value, values_max):
        raise Poison("TOO_MANY_VALUES", f"the value may have at most {values_max} JSON values")
    try:
        members = read(record.value)
    except JsonTextError as error:
        raise Poison("BAD_JSON", f"the value is not JSON: {error}") from error
    if not isinstance(members, dict):
        if members == []:
            return {}  # as PHP writes an object without members
        raise Poison("BAD_JSON", "the value must be a JSON object")
    if not is_validated and is_too_deep(record.value, members):
        raise Poison("TOO_DEEP", f"the value may nest at most {NESTING_MAX} levels deep")
    return members


def _outcome(record: Record, envelope: Envelope, channel: Channel) -> Event:
    """The event of an outcome. Its key is the entity's, which the request carried."""
    if has_too_many_values(record.value, OUTCOME_VALUES_MAX):
        raise Poison("TOO_MANY_VALUES", f"an outcome may have at most {OUTCOME_VALUES_MAX} JSON values")
    try:
        outcome = decode_outcome(record.value)
        if isinstance(outcome.body, dict | list) and is_too_deep(record.value, outcome.body):
            # The outcome still counts; an answer that could not be passed on does not.
            outcome = replace(outcome, body=None)
        kind = kind_of_outcome(outcome)
    except ValueError as error:
        raise Poison("BAD_OUTCOME", f"not a delivery outcome: {error}") from error
    if outcome.touchpoint not in BY_NAME:
        raise Poison("BAD_OUTCOME", f"touchpoint: {outcome.touchpoint[:80]!r} is no call of the contract")
    return Event(
        kind=kind,
        id=envelope.id,
        traceparent=envelope.traceparent,
        channel=envelope.channel,
        code=_code_of(record.key),
        key=record.key,
        body={},
        outcome=outcome,
        policy=channel.policy,
    )


def _code_of(key: bytes) -> str:
    try:
        return split(key)[-1]
    except UnicodeDecodeError as error:
        raise Poison("BAD_KEY", f"the record's key is not UTF-8: {key[:40]!r}") from error


def _query(members: dict[str, Any], envelope: Envelope, reply_to: Address | None) -> Event:
    """The event of a query, which names an order, a return or a manifest."""
    code, key = _named(members, envelope)
    return Event(
        kind=EventKind.QUERY,
        id=envelope.id,
        traceparent=envelope.traceparent,
        channel=envelope.channel,
        code=code,
        key=key,
        body=members,
        reply_to=reply_to,
    )


def _named(members: dict[str, Any], envelope: Envelope) -> tuple[str, bytes]:
    """Code and key of the order, return or manifest that the members name."""
    makers: dict[str, Callable[[str, str], bytes]] = {
        "returnOrderCode": return_key,
        "orderCode": order_key,
        "manifestId": manifest_key,
    }
    for name, make in makers.items():
        code = members.get(name)
        if code is not None:
            return str(code), make(envelope.channel, str(code))
    raise Poison("BAD_DATA", f"{envelope.type} needs orderCode, returnOrderCode or manifestId")


def _resubmit(
    members: dict[str, Any], envelope: Envelope, channel: Channel, reply_to: Address | None, *, is_validated: bool
) -> Event:
    """The event of an operator's word to send a refused request again."""
    _check_id(envelope)
    try:
        asked = ResubmitAsked.model_validate(members, strict=True)
    except ValidationError as error:
        raise Poison("BAD_DATA", f"{envelope.type}: {'; '.join(problems(error))}") from error
    touchpoint = BY_NAME.get(asked.touchpoint)
    if touchpoint is None or touchpoint.name not in OF_TOUCHPOINT:
        raise Poison("BAD_DATA", f"{envelope.type}: touchpoint: {asked.touchpoint[:80]!r} is no call of an order")
    code, key = _named(members, envelope)
    body = asked.body if is_validated else _validated(touchpoint, asked.body).own
    return Event(
        kind=EventKind.RESUBMIT,
        id=envelope.id,
        traceparent=envelope.traceparent,
        channel=envelope.channel,
        code=code,
        key=key,
        body={**asked.model_dump(), "body": body},
        offered=channel.offers(touchpoint),
        reply_to=reply_to,
        deadline_ms=envelope.deadline_ms,
        unknown_orders=channel.unknown_orders,
        policy=channel.policy,
    )


def _refused_call(members: dict[str, Any], envelope: Envelope) -> Event:
    """The event of a call that was refused before it became a command."""
    try:
        CallRefused.model_validate(members, strict=True)
    except ValidationError as error:
        raise Poison("BAD_DATA", f"{envelope.type}: {'; '.join(problems(error))}") from error
    touchpoint, code = BY_NAME.get(members["touchpoint"]), members["subject"]
    if touchpoint is None:
        raise Poison("BAD_DATA", f"touchpoint: {members['touchpoint'][:80]!r} is no call of the contract")
    key = (return_key if touchpoint.entity is Entity.RETURN else order_key)(envelope.channel, code)
    return Event(
        kind=EventKind.CALL_REFUSED, id=envelope.id, channel=envelope.channel, code=code, key=key, body=members
    )


def _internal(members: dict[str, Any], envelope: Envelope, channel: Channel) -> Event:
    kind, model = _INTERNAL[envelope.type]
    try:
        model.model_validate(members, strict=True)
    except ValidationError as error:
        raise Poison("BAD_DATA", f"{envelope.type}: {'; '.join(problems(error))}") from error
    of_return = kind is EventKind.RETURN_DECIDED
    code = members["returnOrderCode" if of_return else "orderCode"]
    return Event(
        kind=kind,
        id=envelope.id,
        traceparent=envelope.traceparent,
        channel=envelope.channel,
        code=code,
        key=return_key(envelope.channel, code) if of_return else order_key(envelope.channel, code),
        body=members,
        unknown_orders=channel.unknown_orders,
        policy=channel.policy,
    )
