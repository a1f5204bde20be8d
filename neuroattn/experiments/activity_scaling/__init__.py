"""Activity scaling: whether units respond more to their object when it is attended."""
