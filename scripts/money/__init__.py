"""What a cluster costs: prices, what bounds them, the ledger of what was, its sums; how fast workers are, by type."""
