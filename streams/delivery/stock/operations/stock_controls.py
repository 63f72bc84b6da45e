"""What operators asked of stock, as delivery goes by it: all of inventory.controls, known before the first call."""

from __future__ import annotations

from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByView, WholeView
from topics.stock.controls import ControlIndex


class FollowedControls(KeptByView, ControlIndex):
    """Of every channel: the topic is small. While Kafka is away what was known last holds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, "inventory.controls", self.apply, one_owner=False)
