"""What a subscriber's endpoint is told and how: signatures and their secrets, and the addresses that may be called."""
