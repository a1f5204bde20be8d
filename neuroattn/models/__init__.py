"""Gated networks: what a variable is, one step, one trial, and how weights are kept."""
