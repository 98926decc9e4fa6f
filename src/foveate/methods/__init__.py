"""The papers' networks, each read like its figure."""
