"""Records that nobody should send, on every topic that a role or the gateway reads, of a whole Sluice at work."""
