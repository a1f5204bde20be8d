"""Published numbers beside those that the package finds."""
