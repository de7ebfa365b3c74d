"""Mitogen's linear strategy by a name of ours: Ansible finds it whatever folder the environment is in."""

from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

__all__ = ["StrategyModule"]
