"""What the calls of /api/subscriptions make of a subscription, and what is told of it. Pure: no Kafka, no clock."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import ETag, web
from aiohttp.helpers import ETAG_ANY
from pydantic import BaseModel, SecretStr, ValidationError

from gateway.http.answers import Refused, bad_data
from topics.api.subscribers import (
    BacklogDocument,
    DisabledDocument,
    RotationAsked,
    SecretDocument,
    SubscriptionAsked,
    SubscriptionDocument,
    SubscriptionSettings,
)
from topics.records.keys import (
    destination_partition,
    lane_key,
    manifest_key,
    order_key,
    return_key,
    shard_of,
    subscription_destination,
)
from topics.schema_base import problems
from topics.subscriptions.model import SECRETS_MAX, Backlog, Health, SigningSecret, Status, Subscription
from topics.webhooks.sealing import REFERENCE, SealError, SecretBox
from topics.webhooks.signatures import (
    Ed25519Key,
    SecretError,
    Signature,
    SigningKey,
    make_secret,
    signature_of,
    signing_key,
)

_KEYS: dict[str, Callable[[str, str], bytes]] = {"order": order_key, "return": return_key, "manifest": manifest_key}
"""What has facts, by the name that a query gives it."""

BLOCKED_SHOWN_MAX = 20
"""Blocked facts that are shown, over all shards: one decides about them one by one."""

Asked = TypeVar("Asked", bound=BaseModel)


class NewSecret:
    """A secret as it is stored, as it signs, and what of it is shown, once."""

    def __init__(self, stored: SigningSecret, text: str, *, made: bool) -> None:
        self.stored = stored
        self.key: SigningKey = signing_key(text)
        is_public = isinstance(self.key, Ed25519Key)
        self.public_key = self.key.verifier() if is_public else None
        self.secret = text if made and not is_public else None


def new_secret(
    box: SecretBox, owner: str, signature: Signature, given: SecretStr | None, randomness: bytes, now_ms: int
) -> NewSecret:
    """The caller's own secret, or one that is made of `randomness`. Raises Refused."""
    text = given.get_secret_value() if given is not None else make_secret(signature, randomness)
    try:
        if text.startswith(REFERENCE):
            reference, text = text, box.open(text, owner)
            stored = SigningSecret(reference=reference, created_ms=now_ms)
        else:
            signing_key(text)
            stored = SigningSecret(sealed=box.seal(text, owner), created_ms=now_ms)
        if signature_of(text) is not signature:
            raise bad_data(f"secret: does not make {signature} signatures")
        return NewSecret(stored, text, made=given is None)
    except SecretError as error:
        raise bad_data(f"secret: {error}") from None
    except SealError as error:
        if given is not None and given.get_secret_value().startswith(REFERENCE):
            raise bad_data(f"secret: {error}") from None
        raise Refused(503, "NO_SECRET_KEY", "Secrets cannot be stored", str(error)) from None
    except ValidationError as error:
        raise bad_data(*(f"secret: {text}" for text in problems(error))) from None


def asked(model: type[Asked], members: Mapping[str, Any], channels: Iterable[str]) -> Asked:
    """Raises Refused, which names each member that is wrong and no value."""
    try:
        found = model.model_validate(members)
    except ValidationError as error:
        raise bad_data(*problems(error)) from None
    if isinstance(found, SubscriptionSettings):
        known = set(channels)
        for place, name in enumerate(found.channels):
            if name not in known:
                raise bad_data(f"channels[{place}]: must be one of {', '.join(sorted(known))}")
    return found


def made(wanted: SubscriptionAsked, name: str, secret: NewSecret, now_ms: int) -> Subscription:
    settings = wanted.model_dump(exclude={"secret"})
    return Subscription(**settings, id=name, secrets=(secret.stored,), created_ms=now_ms)


def changed(present: Subscription, members: Mapping[str, Any], channels: Iterable[str]) -> Subscription:
    """With the settings that a PATCH names. Raises Refused."""
    names = SubscriptionSettings.model_fields.keys()
    before = present.model_dump(include=set(names))
    wanted = asked(SubscriptionSettings, {**before, **members}, channels)
    if wanted.shards != present.shards:
        raise bad_data("shards: cannot be changed, because an order's facts would overtake each other; make another")
    return present.model_copy(update={name: getattr(wanted, name) for name in names})


def rotated(present: Subscription, wanted: RotationAsked, secret: NewSecret, now_ms: int) -> Subscription:
    """With a new secret; those before it end after the overlap, or when they would have. Raises Refused."""
    until_ms = now_ms + wanted.overlap_s * 1000
    live = [
        old.model_copy(update={"until_ms": until_ms if old.until_ms is None else min(old.until_ms, until_ms)})
        for old in present.live_secrets(now_ms)
    ]
    kept = [old for old in live if (old.until_ms or 0) > now_ms]
    if len(kept) >= SECRETS_MAX:
        ends_s = (min(old.until_ms or 0 for old in kept) - now_ms) // 1000
        message = f"{SECRETS_MAX} secrets sign already, the first of them ends in {ends_s} s"
        raise Refused(409, "TOO_MANY_SECRETS", message, "use a shorter overlap_s")
    signature = wanted.signature or present.signature
    return present.model_copy(update={"secrets": (secret.stored, *kept), "signature": signature})


def next_revision(present: Subscription, **update: Any) -> Subscription:
    """Whatever an operator changes makes a new revision; one that Sluice disabled begins anew with it."""
    return present.model_copy(update={**update, "revision": present.revision + 1})


def check_revision(present: Subscription, wanted: Sequence[ETag]) -> None:
    """Raises Refused when a caller who names revisions (If-Match) does not mean the present one."""
    if not any(tag.value == ETAG_ANY or (tag.value == str(present.revision) and not tag.is_weak) for tag in wanted):
        message = f"It is at revision {present.revision} now, and nothing was changed"
        hint = f'look at it again; the header is If-Match: "{present.revision}"'
        raise Refused(412, "CHANGED", message, hint)


def document(
    subscription: Subscription,
    disabled: Status | None,
    health: Mapping[int, Health],
    backlog: Mapping[int, Backlog],
    now_ms: int,
) -> SubscriptionDocument:
    """What is told of a subscription: everything but its secrets."""
    shards = health.values()
    failing = [one for one in shards if one.failing_since_ms is not None]
    why = None
    if not subscription.enabled:
        why = DisabledDocument(by="operator", reason=None, since_ms=None)
    elif disabled is not None:
        why = DisabledDocument(by="sluice", reason=disabled.reason, since_ms=disabled.disabled_ms)
    state = "disabled" if why else "active" if subscription.active else "unverified"
    first = min(failing, key=lambda one: one.failing_since_ms or 0, default=None)
    return SubscriptionDocument(
        **subscription.model_dump(exclude={"secrets", "enabled"}),
        state=state,
        secrets=[
            SecretDocument(created_ms=one.created_ms, until_ms=one.until_ms, reference=one.reference or None)
            for one in subscription.live_secrets(now_ms)
        ],
        disabled=why,
        failing_since_ms=first.failing_since_ms if first else None,
        last_success_ms=max((one.success_ms for one in shards if one.success_ms is not None), default=None),
        last_error=first.error if first else None,
        backlog=_together(backlog.values()),
    )


def _together(backlogs: Collection[Backlog]) -> BacklogDocument | None:
    """What waits in all shards."""
    facts = [fact for one in backlogs for fact in one.blocked_facts]
    if not backlogs:
        return None
    return BacklogDocument(
        as_of_ms=min(one.at_ms for one in backlogs),
        orders=sum(one.orders for one in backlogs),
        oldest_ms=min((one.oldest_ms for one in backlogs if one.oldest_ms is not None), default=None),
        blocked=sum(one.blocked for one in backlogs),
        blocked_facts=sorted(facts, key=lambda fact: fact.dead_ms)[:BLOCKED_SHOWN_MAX],
    )


def resealed(box: SecretBox, subscription: Subscription) -> Subscription:
    """With its secrets under the present key. One that does not open stays: whoever needs it says so."""

    def renewed(secret: SigningSecret) -> SigningSecret:
        with contextlib.suppress(SealError):
            return secret.model_copy(update={"sealed": box.renewed(secret.sealed, subscription.id)})
        return secret

    return subscription.model_copy(update={"secrets": tuple(map(renewed, subscription.secrets))})


def entity_of(channel: str, request: web.Request) -> tuple[bytes, str]:
    """Whose facts are meant: the key and code of the one that the query names. Raises Refused."""
    named = [name for name in _KEYS if name in request.query]
    if len(named) != 1:
        raise bad_data(f"one of {', '.join(_KEYS)} has to be given")
    code = request.query[named[0]]
    return _KEYS[named[0]](channel, code), code


def home_of(subscription: Subscription, entity: bytes, partitions: int) -> tuple[bytes, int]:
    """The lane of an entity's facts for a subscriber, and its partition."""
    destination = subscription_destination(subscription.id)
    shard = shard_of(entity, subscription.shards)
    return lane_key(destination, entity), destination_partition(destination, shard, partitions)


def keys_of(box: SecretBox, subscription: Subscription, now_ms: int) -> list[SigningKey]:
    """What signs now. Raises Refused."""
    try:
        return [signing_key(box.open(one.stored, subscription.id)) for one in subscription.live_secrets(now_ms)]
    except (SealError, SecretError) as error:
        raise Refused(503, "SECRET_UNREADABLE", "A secret cannot be read here", str(error)) from None


def id_of(randomness: bytes) -> str:
    """An id of 80 random bits; ids are never used again."""
    return "sub_" + base64.b32encode(randomness).decode().lower()
