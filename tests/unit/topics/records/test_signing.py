"""A signature says that a gateway validated this body: nothing else is taken for it, and keys can be changed."""

from __future__ import annotations

from random import Random

import pytest

from topics.configuration.settings import load_settings
from topics.records.signing import DIGEST_BYTES, Signer

OLD, NEW = b"o" * 32, b"n" * 32
KIND, KEY, VALUE = "sluice.command.create-outward-order", b"demo|O-1", b'{"orderCode":"O-1"}'


def signature(signer: Signer, kind: str = KIND, key: bytes = KEY, value: bytes = VALUE) -> bytes:
    found = signer.sign(kind, key, value)
    assert found is not None
    return found


def test_what_was_signed_is_recognised_and_nothing_that_differs_in_a_part() -> None:
    signer = Signer([OLD])
    signed = signature(signer)
    assert len(signed) == 2 * DIGEST_BYTES
    assert signed.isalnum()
    assert signer.is_signed(KIND, KEY, VALUE, signed)
    assert not signer.is_signed(KIND + "x", KEY, VALUE, signed)
    assert not signer.is_signed(KIND, KEY + b"x", VALUE, signed)
    assert not signer.is_signed(KIND, KEY, VALUE + b" ", signed)
    assert not Signer([NEW]).is_signed(KIND, KEY, VALUE, signed)


def test_no_two_records_are_signed_as_one_wherever_their_parts_meet() -> None:
    signer = Signer([OLD])
    text = "0|1|2|abc|0"
    signed = {
        signature(signer, text[:first], text[first:second].encode(), text[second:].encode())
        for first in range(len(text) + 1)
        for second in range(first, len(text) + 1)
    }
    assert len(signed) == sum(range(len(text) + 2))


def test_keys_are_changed_one_after_the_other_without_a_gap() -> None:
    old, both, new = Signer([OLD]), Signer([NEW, OLD]), Signer([NEW])
    assert both.is_signed(KIND, KEY, VALUE, signature(old))
    assert new.is_signed(KIND, KEY, VALUE, signature(both))
    assert not old.is_signed(KIND, KEY, VALUE, signature(both))


def test_without_a_key_nothing_is_signed_and_nothing_recognised() -> None:
    signer = Signer(load_settings().secret_keys)
    assert signer.sign(KIND, KEY, VALUE) is None
    assert not signer.is_signed(KIND, KEY, VALUE, b"")
    assert not signer.is_signed(KIND, KEY, VALUE, signature(Signer([OLD])))


@pytest.mark.parametrize("given", [b"", b"\xff" * 32, b"0" * 31, b"0" * 5_000, b"\x00"])
def test_whatever_stands_in_the_header_is_no_signature(given: bytes) -> None:
    assert not Signer([OLD, NEW]).is_signed(KIND, KEY, VALUE, given)


def test_no_random_text_is_a_signature() -> None:
    random, signer = Random(7), Signer([OLD])
    assert not any(signer.is_signed(KIND, KEY, VALUE, random.randbytes(16).hex().encode()) for _ in range(1_000))
