"""Figures: frames, cosmic rays, fills, comparisons with other methods."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .before_after import plot_before_after
    from .comparison import plot_comparison
    from .cutouts import plot_cutouts
    from .detections import plot_detections
    from .probability import plot_probability
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "plot_before_after": ".before_after",
            "plot_comparison": ".comparison",
            "plot_cutouts": ".cutouts",
            "plot_detections": ".detections",
            "plot_probability": ".probability",
        },
    )

__all__ = [
    "plot_before_after",
    "plot_comparison",
    "plot_cutouts",
    "plot_detections",
    "plot_probability",
]
