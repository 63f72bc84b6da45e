"""The lines of logs, as tests read them."""
