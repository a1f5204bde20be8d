"""Inhibition of return: whether, and by what, an object that was attended is avoided."""
