"""What a cluster costs: prices, what bounds them, the ledger of what was, and its sums."""
