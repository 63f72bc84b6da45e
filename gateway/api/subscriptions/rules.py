"""PURE: how the calls of /api/subscriptions change a subscription, and the document that shows one."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import ETag, web
from aiohttp.helpers import ETAG_ANY
from pydantic import SecretStr, ValidationError

from gateway.http.answers import Refused, bad_data
from gateway.http.body import validated
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
"""Keys of what has facts, by the names of query parameters."""

BLOCKED_SHOWN_MAX = 20
"""Blocked facts that one document shows, of all shards: operators decide about them one by one."""

Asked = TypeVar("Asked", bound=SubscriptionSettings)


class NewSecret:
    """A new secret: as it is stored, as it signs, and what of it is shown to its caller, once."""

    def __init__(self, stored: SigningSecret, text: str, *, made: bool) -> None:
        self.stored = stored
        self.key: SigningKey = signing_key(text)
        is_public = isinstance(self.key, Ed25519Key)
        self.public_key = self.key.verifier() if is_public else None
        self.secret = text if made and not is_public else None


def new_secret(
    box: SecretBox, owner: str, signature: Signature, given: SecretStr | None, randomness: bytes, now_ms: int
) -> NewSecret:
    """The caller's secret, or one made of `randomness`. Raises Refused."""
    text = given.get_secret_value() if given is not None else make_secret(signature, randomness)
    try:
        if text.startswith(REFERENCE):
            reference, text = text, box.open(text, owner)
            stored = SigningSecret(reference=reference, created_ms=now_ms)
        else:
            signing_key(text)
            stored = SigningSecret(sealed=box.seal(text, owner), created_ms=now_ms)
        if signature_of(text) is not signature:
            raise bad_data(f"secret: is not for {signature} signatures")
        return NewSecret(stored, text, made=given is None)
    except SecretError as error:
        raise bad_data(f"secret: {error}") from None
    except SealError as error:
        if given is not None and given.get_secret_value().startswith(REFERENCE):
            raise bad_data(f"secret: {error}") from None
        raise Refused(503, "NO_SECRET_KEY", "Secrets cannot be stored", str(error)) from None
    except ValidationError as error:
        raise bad_data(*(f"secret: {text}" for text in problems(error))) from None


def settings_of(model: type[Asked], members: Mapping[str, Any], channels: Iterable[str]) -> Asked:
    """The settings in a call's body. Raises Refused, which names each member that is wrong, and no value."""
    settings = validated(model, members)
    known = set(channels)
    for index, name in enumerate(settings.channels):
        if name not in known:
            raise bad_data(f"channels[{index}]: must be one of {', '.join(sorted(known))}")
    return settings


def new_subscription(wanted: SubscriptionAsked, name: str, secret: NewSecret, now_ms: int) -> Subscription:
    settings = wanted.model_dump(exclude={"secret"})
    return Subscription(**settings, id=name, secrets=(secret.stored,), created_ms=now_ms)


def changed(present: Subscription, members: Mapping[str, Any], channels: Iterable[str]) -> Subscription:
    """The subscription with the settings that a PATCH names. Raises Refused."""
    names = SubscriptionSettings.model_fields.keys()
    before = present.model_dump(include=set(names))
    wanted = settings_of(SubscriptionSettings, {**before, **members}, channels)
    if wanted.shards != present.shards:
        raise bad_data(
            "shards: cannot be changed, because facts of an order would overtake each other; add another subscription"
        )
    return present.model_copy(update={name: getattr(wanted, name) for name in names})


def rotated(present: Subscription, wanted: RotationAsked, secret: NewSecret, now_ms: int) -> Subscription:
    """The subscription with a new secret. The others end after the overlap, or when they would have. Raises Refused."""
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
    """The subscription with changes by an operator. If Sluice has disabled it, a new revision begins anew."""
    return present.model_copy(update={**update, "revision": present.revision + 1})


def check_revision(present: Subscription, wanted: Sequence[ETag]) -> None:
    """Raises Refused if the header If-Match names other revisions than the present one."""
    if not any(tag.value == ETAG_ANY or (tag.value == str(present.revision) and not tag.is_weak) for tag in wanted):
        message = f"The subscription is at revision {present.revision}, and nothing was changed"
        hint = f'read it again, then send If-Match: "{present.revision}"'
        raise Refused(412, "CHANGED", message, hint)


def document(
    subscription: Subscription,
    disabled: Status | None,
    health: Mapping[int, Health],
    backlog: Mapping[int, Backlog],
    now_ms: int,
) -> SubscriptionDocument:
    """The document that shows a subscription: everything but its secrets."""
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
    """The backlog of all shards together."""
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
    """The subscription with its secrets under the present key. One that cannot be opened stays as it is; errors are
    for calls that need it."""

    def renewed(secret: SigningSecret) -> SigningSecret:
        with contextlib.suppress(SealError):
            return secret.model_copy(update={"sealed": box.renewed(secret.sealed, subscription.id)})
        return secret

    return subscription.model_copy(update={"secrets": tuple(map(renewed, subscription.secrets))})


def entity_of(channel: str, request: web.Request) -> tuple[bytes, str]:
    """The key and code of the order, return or manifest that the query names. Raises Refused."""
    named = [name for name in _KEYS if name in request.query]
    if len(named) != 1:
        raise bad_data(f"the query must name one of {', '.join(_KEYS)}")
    code = request.query[named[0]]
    return _KEYS[named[0]](channel, code), code


def lane_of(subscription: Subscription, entity: bytes, partitions: int) -> tuple[bytes, int]:
    """The lane of an entity's facts for a subscriber, and the partition that owns it."""
    destination = subscription_destination(subscription.id)
    shard = shard_of(entity, subscription.shards)
    return lane_key(destination, entity), destination_partition(destination, shard, partitions)


def keys_of(box: SecretBox, subscription: Subscription, now_ms: int) -> list[SigningKey]:
    """The keys that sign now. Raises Refused."""
    try:
        return [signing_key(box.open(one.stored, subscription.id)) for one in subscription.live_secrets(now_ms)]
    except (SealError, SecretError) as error:
        raise Refused(503, "SECRET_UNREADABLE", "A secret cannot be read here", str(error)) from None


def id_of(randomness: bytes) -> str:
    """A new id, of 80 random bits. Ids are never used again."""
    return "sub_" + base64.b32encode(randomness).decode().lower()
