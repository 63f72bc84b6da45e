"""The exhaustive check: every interleaving of small stories of one order, its two far sides and Sluice between them."""
