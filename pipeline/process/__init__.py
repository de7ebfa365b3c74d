"""What a worker's Python process does for the others: it goes first where memory ends, and is ended where it hangs."""
