"""Selective sparse sampling networks (S3N, ICCV 2019)."""
