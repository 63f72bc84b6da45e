"""Data that flows through Sluice: touchpoints, topics, models, envelope, keys. Imports neither gateway nor streams."""
