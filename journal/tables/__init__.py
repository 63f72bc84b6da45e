"""PURE: the tables of the journal, the same for SQLite and PostgreSQL. docs/journal.md says what they are for."""
