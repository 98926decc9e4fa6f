"""The report as one HTML file that a person can open, read and hand on: `foveate report`."""
