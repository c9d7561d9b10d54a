"""Scores of models, and their comparison with other methods."""
