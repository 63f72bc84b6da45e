"""What flows through Sluice, as data: touchpoints, topics, models, envelope and keys. Imports neither gateway nor streams."""
