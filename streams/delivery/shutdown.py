"""How the time that the runtime gives `stop` is shared out, so that every step of a clean end has its turn."""

from __future__ import annotations

from streams.runtime.limits import STOP_ROLE_S

DRAIN_S = 0.6 * STOP_ROLE_S
"""What is in the air when the process is asked to end has this long; then it is cancelled, and sent again with the same
id by the next owner. The rest is for making known what ended in time."""
STOCK_DRAIN_S = 0.7 * STOP_ROLE_S
"""Calls of the stock sender are in the air of the same runners: longer than these, so that what was answered at the
last moment is recorded."""
STOCK_GIVE_BACK_S = 0.1 * STOP_ROLE_S
"""For the permits of stock budgets, after that."""
GIVE_BACK_S = 0.2 * STOP_ROLE_S
"""For the permits that were not used, after the drain: a broker that is gone must not hold up the steps after it. What
is not given back counts as used by the next owner."""
CLOSE_S = 0.15 * STOP_ROLE_S
"""For the connections of the senders, at the very end."""
