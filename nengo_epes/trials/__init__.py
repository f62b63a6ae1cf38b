"""Whole experiments: parameters and a seed in, numbers out."""
