"""Memory is given back once, when a busy time is over, and not while there is work."""

from __future__ import annotations

from gateway.admission.memory import CALM_S, PAUSE_S, Memory, resident_bytes, trim


class Process:
    def __init__(self) -> None:
        self.resident = 100
        self.in_use = 100
        self.memory = Memory(lambda: self.resident, self.give_back)
        self.now = 1_000.0

    def give_back(self) -> None:
        self.resident = self.in_use

    def live(self, seconds: float, *, busy: bool = False) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.memory.look(self.now, busy=busy)


def test_after_a_busy_time_memory_is_given_back_once() -> None:
    process = Process()
    process.live(100)
    process.resident = 300
    process.live(60, busy=True)
    assert process.memory.trims == 0
    process.live(CALM_S + 1)
    assert (process.memory.trims, process.resident) == (1, 100)
    process.live(600)
    assert process.memory.trims == 1


def test_what_is_in_use_is_not_searched_again_and_again() -> None:
    process = Process()
    process.live(100)
    process.resident = process.in_use = 300
    process.live(10 * PAUSE_S)
    assert process.memory.trims == 1


def test_a_process_that_stays_small_has_no_pause() -> None:
    process = Process()
    process.live(600, busy=False)
    assert process.memory.trims == 0


def test_this_process_can_be_measured_and_trimmed() -> None:
    before = resident_bytes()
    trim()
    assert before > 0
