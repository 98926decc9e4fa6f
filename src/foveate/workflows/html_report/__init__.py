"""Gather what the report shows: kept answers first, and only what is missing is computed."""
