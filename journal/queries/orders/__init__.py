"""Lists of orders, where ids lead, and timelines."""
