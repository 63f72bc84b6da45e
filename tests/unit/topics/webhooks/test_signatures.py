"""What Sluice signs is what the standard says: canonical vectors, an independent verifier, and everything bent."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from sluice.dev.torture.log import Signed
from sluice.dev.torture.signatures import checker, judge
from topics.webhooks.signatures import (
    SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
    SecretError,
    Signature,
    make_secret,
    sign,
    signature_of,
    signing_key,
)

ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAIR = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PAIR_SECRET = "whsk_" + PAIR
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
OLD, NEW = make_secret(Signature.V1, b"o" * 32), make_secret(Signature.V1, b"n" * 32)
SEED = make_secret(Signature.V1A, b"s" * 32)


def judged(tokens: str | None, *keys: str, **other: Any) -> Signed:
    """What the torture kit's receiver says, which shares no code with what signs."""
    given_: dict[str, Any] = {"delivery_id": ID, "timestamp": str(AT), "body": BODY, "now_s": AT} | other
    headers = {
        "webhook-id": given_["delivery_id"],
        "webhook-timestamp": given_["timestamp"],
        "webhook-signature": tokens,
    }
    present = {name: value for name, value in headers.items() if value is not None}
    return judge([checker(key) for key in keys], present, given_["body"], given_["now_s"])


def test_the_canonical_vectors_come_out() -> None:
    assert sign([signing_key(SECRET)], ID, AT, BODY) == V1
    assert sign([signing_key(PAIR_SECRET)], ID, AT, BODY) == V1A
    seed = "whsk_" + base64.b64encode(base64.b64decode(PAIR)[:32]).decode()
    assert sign([signing_key(seed)], ID, AT, BODY) == V1A
    assert sign([signing_key(SECRET), signing_key(PAIR_SECRET)], ID, AT, BODY) == f"{V1} {V1A}"


@pytest.mark.parametrize("length", range(SECRET_BYTES_MIN, SECRET_BYTES_MAX + 1))
def test_v1_is_pythons_hmac_for_a_secret_of_each_length(length: int) -> None:
    key = bytes(range(200, 200 - length, -1))
    mac = hmac.digest(key, f"{ID}.{AT}.".encode() + BODY, "sha256")
    signing = signing_key("whsec_" + base64.b64encode(key).decode())
    for _ in range(2):  # the second signature begins where the first did
        assert sign([signing], ID, AT, BODY) == "v1," + base64.b64encode(mac).decode()


def test_what_verifies_v1_is_the_secret_and_v1a_its_public_half_only() -> None:
    assert signing_key(SECRET).verifier() == SECRET
    public = signing_key(PAIR_SECRET).verifier()
    assert public == "whpk_" + base64.b64encode(base64.b64decode(PAIR)[32:]).decode()
    with pytest.raises(SecretError, match="begins with whsec_"):
        signing_key(public)


@settings(max_examples=25)
@given(
    body=st.text(max_size=200).map(lambda text: json.dumps({"data": text}).encode()),
    key=st.binary(min_size=24, max_size=64),
    delivery_id=st.from_regex(r"\A[a-zA-Z0-9_/:-]{1,80}\Z"),
)
def test_an_independent_verifier_takes_every_signature(body: bytes, key: bytes, delivery_id: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    now_s = int(datetime.now(UTC).timestamp())
    header = sign([signing_key(SEED), signing_key(OLD), signing_key(secret)], delivery_id, now_s, body)
    headers = {"webhook-id": delivery_id, "webhook-timestamp": str(now_s), "webhook-signature": header}
    assert Webhook(secret).verify(body, headers) == json.loads(body)


def test_during_a_rotation_both_the_old_and_the_new_secret_verify() -> None:
    header = sign([signing_key(NEW), signing_key(OLD), signing_key(SEED)], ID, AT, BODY)
    for key in (NEW, OLD, signing_key(SEED).verifier()):
        assert judged(header, key) is Signed.RIGHT
    assert judged(header, SECRET, OLD) is Signed.RIGHT
    assert judged(header, SECRET) is Signed.WRONG


@pytest.mark.parametrize(
    ("header", "change", "signed"),
    [
        (V1, {"body": BODY + b" "}, Signed.WRONG),
        (V1, {"body": b""}, Signed.WRONG),
        (V1, {"delivery_id": ID + "x"}, Signed.WRONG),
        (V1, {"delivery_id": ID + "\udce4"}, Signed.WRONG),
        (V1, {"timestamp": str(AT + 1)}, Signed.WRONG),
        (V1, {"timestamp": "0" + str(AT)}, Signed.WRONG),
        (V1.replace("1OE=", "1OA="), {}, Signed.WRONG),
        (V1.replace("v1,", "v1a,"), {}, Signed.WRONG),
        (V1A.replace("v1a,", "v1,"), {}, Signed.WRONG),
        (V1.replace("v1,", "v2,"), {}, Signed.WRONG),
        (V1.replace(",", ""), {}, Signed.WRONG),
        (V1.replace("+", "-"), {}, Signed.WRONG),
        ("v1," + V1, {}, Signed.WRONG),
        ("v1,", {}, Signed.WRONG),
        ("garbage v1,a,b ,", {}, Signed.WRONG),
        (V1A.replace("AZdp", "AZdq"), {}, Signed.WRONG),
        (V1.replace("g0hM", "\u00e4"), {}, Signed.WRONG),
        (V1.replace("g0hM", "\udce4"), {}, Signed.WRONG),
        ("v1a,\u00e4", {}, Signed.WRONG),
        ("", {}, Signed.MISSING),
        (None, {}, Signed.MISSING),
        (V1, {"delivery_id": None}, Signed.MISSING),
        (V1, {"timestamp": None}, Signed.MISSING),
        (V1, {"timestamp": f"{AT}.5"}, Signed.WRONG),
        (V1, {"timestamp": "-1"}, Signed.WRONG),
        (V1, {"timestamp": "\u0661"}, Signed.WRONG),
        (V1, {"now_s": AT + 301}, Signed.WRONG),
        (V1, {"now_s": AT - 301}, Signed.WRONG),
    ],
)
def test_whatever_is_bent_does_not_verify(header: str | None, change: dict[str, Any], signed: Signed) -> None:
    assert judged(header, SECRET, signing_key(PAIR_SECRET).verifier(), **change) is signed


def test_what_cannot_be_read_does_not_hide_a_good_signature() -> None:
    assert judged(f"garbage v1,a,b  v1a,AAAA v9,xyz {V1}", SECRET) is Signed.RIGHT
    assert judged(V1, SECRET, now_s=AT + 300) is Signed.RIGHT


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"),
        ("whsec_", "24 to 64 bytes, not 0"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "24 to 64 bytes, not 23"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "24 to 64 bytes, not 65"),
        ("whsec_not base64!", "not base64"),
        ("whsk_" + base64.b64encode(b"k" * 33).decode(), "32 bytes, or 64"),
        ("whsk_" + base64.b64encode(b"k" * 64).decode(), "not the public half"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_showing_it(secret: str, says: str) -> None:
    with pytest.raises(SecretError, match=says) as caught:
        signing_key(secret)
    assert secret.partition("_")[2] == "" or secret.partition("_")[2] not in str(caught.value)


@pytest.mark.parametrize("delivery_id", ["", "a.b", "a\r\nb", "a b", "ä", "x" * 257])
def test_an_id_that_would_bend_what_is_signed_is_never_signed(delivery_id: str) -> None:
    with pytest.raises(ValueError, match="webhook-id"):
        sign([signing_key(SECRET)], delivery_id, AT, BODY)


def test_a_secret_says_which_signature_it_makes() -> None:
    assert signature_of(OLD) is Signature.V1
    assert signature_of(SEED) is Signature.V1A
    with pytest.raises(ValueError, match="32 random bytes"):
        make_secret(Signature.V1, b"short")
