"""Pages for people that a gateway serves, made from documents that programs read."""
