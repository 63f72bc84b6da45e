"""What keeps Sluice from starting, in words for the person who started it."""

from __future__ import annotations


class StartError(Exception):
    """Something is missing or in the way; the message is one or two lines that say what to do about it."""
