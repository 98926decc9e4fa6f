"""Excitation backprop and its contrast."""
