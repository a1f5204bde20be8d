"""Files of a run: its folder, what is written there, where it came from."""
