"""The journal role: follows topics into the journal's tables."""
