"""The far sides, played by the contract: Increff with its warehouse, and a marketplace. For tests, demo and trying."""
