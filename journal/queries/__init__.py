"""What people ask the journal: read-only selects, a page at a time."""
