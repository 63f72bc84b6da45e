"""The journal's database: how it is opened, migrated, written and kept small."""
