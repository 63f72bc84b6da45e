"""The role that takes calls over HTTP."""

import topics  # noqa: F401 - before any other module: it finds the compiled form of them
