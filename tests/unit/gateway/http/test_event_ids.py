"""Event ids are unique and long enough to be guessed by nobody, also when many are drawn at once."""

from __future__ import annotations

from gateway.http.call import IDS_DRAWN, new_event_id


def test_ids_differ_and_have_128_bits() -> None:
    ids = [new_event_id() for _ in range(3 * IDS_DRAWN + 1)]
    assert len(set(ids)) == len(ids)
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)
