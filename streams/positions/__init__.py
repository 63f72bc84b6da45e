"""Tables of stock positions, for the roles that keep them."""
