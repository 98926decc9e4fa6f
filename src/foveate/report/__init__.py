"""Numbers as tables and pictures; computes nothing."""
