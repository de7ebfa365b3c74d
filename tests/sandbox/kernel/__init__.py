"""Namespaces, links, cgroups and rules: what the kernel gives a host."""
