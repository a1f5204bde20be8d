"""Recording: hooks on named variables, labels, and reductions that run while the network does."""
