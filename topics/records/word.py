"""From when the word of a record is: a record may be under way for long, and a newer word be taken before it."""

from __future__ import annotations

from typing import Final

CLOCKS_APART_MS: Final = 1_000
"""The clocks of gateways, producers and brokers differ by less (NTP keeps them within some milliseconds). A word that
is older by less than this may be the newer one, so it counts: the later in the topic wins (decision 0028)."""
PLAUSIBLE_MS: Final = 24 * 3_600_000
"""A time that is longer ago than this tells of a clock that is wrong, and of no word that was under way: Kafka's time
counts."""


def said_ms(time_ms: int, taken_ms: int) -> int:
    """From when a word is: its ce_time, or when Kafka took it, if that is earlier or there is no plausible one."""
    return time_ms if taken_ms - PLAUSIBLE_MS < time_ms < taken_ms else taken_ms
