"""What every method is told: typed, checked, and light to import (no torch), so that the command line starts at once.

A method's own configuration lies in its room. A recipe is one `TrainConfig`; a variant of it is `dataclasses.replace`;
the command line overrides any field.
"""
