"""Runs under faults that are drawn from a seed, by which nothing may be lost."""
