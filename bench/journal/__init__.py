"""The benchmark of the journal role."""
