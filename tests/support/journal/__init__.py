"""The journal in tests: records for it, databases, and where its process dies."""
