"""Marks of tests that need one of the two forms of a module."""

from __future__ import annotations

import pytest

from topics.compiled import FORM

patches_compiled = pytest.mark.skipif(
    FORM.compiled, reason="it replaces a function of a compiled module, which its callers in other modules do not see"
)
"""For tests that make a decision fail where only a defect could. They are run in the other form."""
