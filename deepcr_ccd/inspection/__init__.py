"""A page on which a person judges a mask: thresholds, edits, and a list of objects."""

from .session import Session, inspect

__all__ = ["Session", "inspect"]
