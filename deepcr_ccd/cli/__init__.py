"""The command ``deepcr-ccd``."""

from .command import main

__all__ = ["main"]
