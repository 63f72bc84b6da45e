"""Records that nobody should send: a table of them, a seeded generator, and how to put any bytes on a topic."""
