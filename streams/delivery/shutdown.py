"""Shares of the time that the runtime gives `stop`, so that each step of a clean end has its turn."""

from __future__ import annotations

from streams.runtime.limits import STOP_ROLE_S

DRAIN_S = 0.6 * STOP_ROLE_S
"""Time for requests in flight when the process shuts down. Then they are cancelled, and the next owner sends them again
with the same id. The rest of the time is for recording those that ended."""
STOCK_DRAIN_S = 0.7 * STOP_ROLE_S
"""Time for calls of the stock sender. They are in flight at the same dispatchers; longer than DRAIN_S, so that an
answer of the last moment is recorded."""
STOCK_GIVE_BACK_S = 0.1 * STOP_ROLE_S
"""Time for the permits of stock budgets, after that."""
GIVE_BACK_S = 0.2 * STOP_ROLE_S
"""Time for unused permits, after the drain: an absent broker must not hold up the steps after it. Permits that are not
given back count as used for the next owner."""
CLOSE_S = 0.15 * STOP_ROLE_S
"""Time for the connections of the senders, at the very end."""
