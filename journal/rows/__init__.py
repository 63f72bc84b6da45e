"""PURE: what each record adds to the journal's tables, read by the rules of docs/reading.md."""
