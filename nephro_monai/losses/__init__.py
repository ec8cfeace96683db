"""Losses of the trainings."""
