"""The papers' tables, figures and trainings."""
