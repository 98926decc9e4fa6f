"""What a set of answers is worth."""
