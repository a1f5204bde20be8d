"""The command line: options, the line itself, recipes."""
