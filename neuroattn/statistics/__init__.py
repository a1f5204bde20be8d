"""Statistics of unit tables: pure functions from arrays and data frames to data frames."""
