"""Work that takes long, a slice in each turn of the event loop, so that answers and heartbeats come in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

ROW = 1
"""What it costs to pass a row of a table: some 2 us. The other costs are told in these."""
REQUEST = 20
"""Decoding a request and giving it to its runner."""
RUNNER = 100
"""Making a runner."""
SLICE = 200 * REQUEST
"""What all such work together may cost in one turn: some 10 ms."""


class Slices:
    """Work that waits for its slice waits in line, so the short is soon done beside the long."""

    def __init__(self) -> None:
        self._line = asyncio.Lock()
        self._left = SLICE

    async def run(self, work: Iterator[int]) -> None:
        """Do `work`, which yields after each step what the step cost."""
        while True:
            async with self._line:
                if self._left <= 0:
                    await asyncio.sleep(0)
                    self._left = SLICE
                for cost in work:
                    self._left -= cost
                    if self._left <= 0:
                        break
                else:
                    return
