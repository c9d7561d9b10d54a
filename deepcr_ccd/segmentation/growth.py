"""Grow masks by discs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..tiling.tiles import BLOCK_PIXELS, row_blocks

__all__ = ["grow_mask"]

#: Larger radii, in px, are grown by a distance transform, whose time and memory do not
#: depend on the radius.
SMALL_DISC = 4


def grow_mask(
    crmask: np.ndarray, grow: float, bad: np.ndarray | None = None
) -> np.ndarray:
    """Grow a mask by a disc around each of its pixels.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    grow : float
        Radius of the disc in px: pixels are added whose centres are within it.
    bad : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, True for pixels that are never added.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``; the mask itself, if it does not grow.
    """
    if grow <= 0 or not crmask.any():
        return crmask
    # Larger radii reach the whole frame.
    grow = min(float(grow), sum(crmask.shape))
    reach = int(grow)
    if reach <= SMALL_DISC:
        y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
        grown = ndimage.binary_dilation(crmask, y**2 + x**2 <= grow**2)
    else:
        grown = _within(crmask, grow)
    return grown if bad is None else grown & ~bad


def _within(crmask: np.ndarray, radius: float) -> np.ndarray:
    """Return which pixels have a mask's pixel within a radius, some rows at a time."""
    reach = int(radius)
    ny, nx = crmask.shape
    grown = np.zeros_like(crmask)
    x = np.arange(nx)
    for rows in row_blocks(crmask.shape, max(BLOCK_PIXELS, 4 * reach * nx)):
        low, high = max(rows.start - reach, 0), min(rows.stop + reach, ny)
        piece = crmask[low:high]
        if not piece.any():
            continue
        # Indices and not distances, as squares of whole numbers are exact.
        nearest = ndimage.distance_transform_edt(
            ~piece, return_distances=False, return_indices=True
        )
        core = slice(rows.start - low, rows.stop - low)
        y = np.arange(core.start, core.stop)[:, None]
        squares = (nearest[0, core] - y) ** 2 + (nearest[1, core] - x) ** 2
        grown[rows] = squares <= radius**2
    return grown
