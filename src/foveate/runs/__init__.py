"""The folders of a run and of a Guided Zoom."""
