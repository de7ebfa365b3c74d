"""A person's own program on a cluster: packed, with what it requires, and sent."""
