"""How the features of a cutout are laid out, one after the other."""

from __future__ import annotations

__all__ = [
    "FITS",
    "MIDDLE",
    "NEAR_QUANTILES",
    "NEAR_RAYS",
    "PROFILE",
    "QUANTILES",
    "RAYS",
    "SCATTERED",
    "SHOWN",
    "TOLD",
]

SHOWN = 3
SCATTERED = 1
#: How many numbers a profile has.
PROFILE = (2 * SHOWN + 1) ** 2 + (2 * SCATTERED + 1) ** 2 + 1
#: How many numbers `fit_star_templates` gives.
FITS = 10
#: Struck pixels over their surroundings: the quantiles that are told of those of a part
#: of a frame, and of those of a window.
QUANTILES = (0.1, 0.5, 0.9, 0.98)
NEAR_QUANTILES = (0.25, 0.5, 0.9)
#: How many numbers are told of a part of a frame, its noise among them; of a window.
RAYS = len(QUANTILES) + 1
NEAR_RAYS = len(NEAR_QUANTILES) + 1
#: Half-width in px of what is told of struck pixels, too; how many numbers are told
#: beside `normalize_cutouts`.
MIDDLE = 2
TOLD = (2 * MIDDLE + 1) ** 2 + 1 + RAYS + NEAR_RAYS + PROFILE + FITS
