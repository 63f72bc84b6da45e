"""The steps of the journal's loop at which a process dies in tests."""

STEPS = ("before_transaction", "between_rows_and_offsets", "before_commit", "after_commit", "before_hint")
