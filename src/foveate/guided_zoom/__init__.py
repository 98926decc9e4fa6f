"""Guided Zoom (BMVC 2019): pool, evidence, refinement."""
