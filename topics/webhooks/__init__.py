"""Calls to subscribers' endpoints: the addresses that may be called, signatures and their secrets, and the client."""
