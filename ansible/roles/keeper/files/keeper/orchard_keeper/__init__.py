"""Ends a cluster when nothing is at work, or when its time is up, and says so before; the decisions know no host."""
