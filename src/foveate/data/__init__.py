"""Photographs to tensors and labels."""
