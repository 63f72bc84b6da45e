"""One module a migration. A released one stays as it is."""
