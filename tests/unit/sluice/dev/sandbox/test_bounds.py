"""What a sandbox keeps is bounded, and a journal survives being torn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sluice.dev.sandbox.journal import Journal, JournalEntry
from sluice.dev.sandbox.rate_limit import SlidingWindow
from sluice.dev.sandbox.recorder import Recorded, Recorder, keep, restore
from sluice.dev.sandbox.server import forget_oldest


def request(order: str, raw: bytes = b"") -> Recorded:
    return Recorded(touchpoint="t", orders=[order], method="PUT", path="/", headers={}, raw=raw, query=None, at=0.0)


def test_the_oldest_requests_make_room() -> None:
    recorder = Recorder(requests_max=2)
    for order in "abc":
        recorder.add(request(order))
    assert [one["orders"] for one in recorder.select()] == [["b"], ["c"]]


def test_large_bodies_make_room_too_but_the_newest_stays() -> None:
    recorder = Recorder(bytes_max=10)
    recorder.add(request("a", b"123456"))
    recorder.add(request("b", b"12345678901"))
    assert [one["orders"] for one in recorder.select()] == [["b"]]


def test_the_newest_requests_are_kept_over_a_restart() -> None:
    """By count and by bytes, oldest first."""
    recorder = Recorder()
    for order in "abcd":
        recorder.add(request(order, b"1234"))
    assert [one.orders for one in recorder.newest(count_max=2)] == [["c"], ["d"]]
    assert [one.orders for one in recorder.newest(bytes_max=12)] == [["b"], ["c"], ["d"]]


def test_the_oldest_orders_are_forgotten() -> None:
    things = dict.fromkeys("abcd")
    assert forget_oldest(things, 3) == ["a"]
    assert forget_oldest(things, 3) == []


def test_a_window_slides() -> None:
    """Never more than the limit in any window, and a refusal costs nothing."""
    now = [0.0]
    window = SlidingWindow(2, lambda: now[0], window_s=10.0)
    admitted = []
    for moment in (0.0, 4.0, 5.0, 9.9, 10.0, 10.1, 14.0):
        now[0] = moment
        admitted.append(window.admit())
    assert admitted == [True, True, False, False, True, False, True]


class Store:
    """Something that keeps a dictionary in a journal."""

    def __init__(self, path: Path) -> None:
        self.things: dict[str, int] = {}
        self.journal = Journal(path, self.live)

    def live(self) -> Iterator[JournalEntry]:
        for key, value in self.things.items():
            yield "thing", key, value

    def put(self, key: str, value: int | None) -> None:
        if value is None:
            del self.things[key]
        else:
            self.things[key] = value
        self.journal.put("thing", key, value)


def test_a_journal_gives_back_the_last_value_of_each_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.jsonl"
    store = Store(path)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("b", None), ("c", 4)):
        store.put(key, value)
    store.journal.flush()
    expected = [("thing", "a", 3), ("thing", "c", 4)]
    assert Store(path).journal.load() == expected
    store.journal.compact()
    store.journal.close()
    assert len(path.read_bytes().splitlines()) == 2
    assert Store(path).journal.load() == expected


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    store = Store(path)
    store.put("a", 1)
    store.put("b", 2)
    store.journal.close()
    path.write_bytes(path.read_bytes()[:-4])
    assert Store(path).journal.load() == [("thing", "a", 1)]


def test_what_a_sandbox_keeps_has_the_digits_that_came(tmp_path: Path) -> None:
    raw = b'{"orderCode":"A","awbNumber":9400111899223197428490,"price":499.0000}'
    journal = Journal(tmp_path / "state.jsonl", lambda: iter(()))
    recorded = Recorded("", ["A"], "POST", "/", {}, raw, None, 0.0)
    for _ in range(2):  # the first one only opens the file
        journal.put("request", "1", keep(recorded))
    journal.flush()
    ((_, _, kept),) = journal.load()
    assert restore(kept).raw == raw
