"""SIGHUP, at which a process reads its credentials again. It ends no process, however early it comes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class HangUps:
    """Makes SIGHUP harmless from now on, and keeps one that comes before the process can act on it."""

    def __init__(self) -> None:
        self._missed = False
        signal.signal(signal.SIGHUP, self._miss)

    def listen(self, add_signal_handler: Callable[..., Any], handler: Callable[[], object]) -> None:
        """Calls `handler` at each SIGHUP from now on, and once now if one was missed.

        `add_signal_handler`: that of the event loop.
        """
        add_signal_handler(signal.SIGHUP, handler)
        if self._missed:
            self._missed = False
            handler()

    def _miss(self, _number: int, _frame: FrameType | None) -> None:
        self._missed = True
