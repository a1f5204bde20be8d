"""Evaluation: how well a network names what it attends, and what it lets through."""
