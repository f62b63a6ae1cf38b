"""Environments, and agents that learn in them."""
