"""What operators asked of stock, as delivery goes by it: all of inventory.controls, known before the first call."""

from __future__ import annotations

from topics.configuration import Settings
from topics.stock_controls import ControlIndex
from topics.view import KeptByView, WholeView


class FollowedControls(KeptByView, ControlIndex):
    """Of every channel: the topic is small. While Kafka is away what was known last holds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, "inventory.controls", self.apply, one_owner=False)
