"""Pictures that the networks are shown, each family in a file of its own."""
