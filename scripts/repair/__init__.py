"""Hosts that do not answer though AWS says that they run, brought back."""
