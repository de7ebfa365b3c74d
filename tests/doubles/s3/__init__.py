"""S3 servers on this machine: a real one, one that misbehaves, two that only list."""
