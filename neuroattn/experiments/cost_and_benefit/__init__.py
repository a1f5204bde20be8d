"""Cost and benefit: whether attention enhances or suppresses."""
