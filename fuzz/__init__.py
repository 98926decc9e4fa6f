"""Hostile input of every kind, and what the package makes of it: `make fuzz`, or `python -m fuzz --help`."""
