"""Groups of pixels that touch each other."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["EIGHT", "group_peaks"]

#: Pixels touch each other at corners, too.
EIGHT = np.ones((3, 3), dtype=bool)


def group_peaks(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return, for each pixel of a group, the highest value in it.

    Parameters
    ----------
    values : `~numpy.ndarray`
        ``(ny, nx)``.
    where : `~numpy.ndarray`
        bool, ``(ny, nx)``: groups are of pixels where this is True.

    Returns
    -------
    `~numpy.ndarray`
        float64, ``(ny, nx)``; 0 where there is no group.
    """
    groups, number = ndimage.label(where, EIGHT)
    peaks = np.zeros(number + 1)
    if number:
        # The pixels of groups are few: ndimage.maximum would sort all there are.
        where = groups > 0
        peaks[1:] = -np.inf
        np.maximum.at(peaks, groups[where], values[where])
    return peaks[groups]
