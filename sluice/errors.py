"""The error that the command line shows without a traceback."""

from __future__ import annotations


class StartError(Exception):
    """Something is missing or in the way; the message is one or two lines that say what to do about it."""
