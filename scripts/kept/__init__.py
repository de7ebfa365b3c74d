"""What outlives a cluster, fetched from its bucket: event logs and notebooks."""
