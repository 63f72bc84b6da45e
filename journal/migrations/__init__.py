"""Migrations of the journal's tables, by Alembic; the journal role runs them when it starts."""
