"""What every method's network offers, and the networks of no paper."""
