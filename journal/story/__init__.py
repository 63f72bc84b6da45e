"""The story of an order: what it is, what it waits for and what ends that, and where its time went. Pure."""
