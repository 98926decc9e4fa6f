"""A trained run as one file for a runtime, with a proof that it answers as the run does."""
