"""Read-only selects of the journal, a page at a time."""
