"""Terraform, called as it is: its workspace, its diagnostics in words, its outputs as a cluster."""
