"""Protocols: stimuli, recording, analysis and figure of one experiment, and the commands that run them."""
