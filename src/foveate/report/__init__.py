"""Numbers as tables and pictures; measures nothing."""
