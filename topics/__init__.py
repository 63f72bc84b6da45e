"""What flows through Sluice, as data: touchpoints, topics, models, envelope, keys. Imports neither of the sides."""
