"""Data that flows through Sluice: touchpoints, topics, models, envelope, keys. Imports neither gateway nor streams."""

import topics.compiled  # noqa: F401 - before any other module: it finds the compiled form of them
