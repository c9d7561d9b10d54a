"""Figures: frames, cosmic rays, fills, comparisons with other methods."""

from .before_after import plot_before_after
from .comparison import plot_comparison
from .cutouts import plot_cutouts
from .detections import plot_detections
from .probability import plot_probability

__all__ = [
    "plot_before_after",
    "plot_comparison",
    "plot_cutouts",
    "plot_detections",
    "plot_probability",
]
