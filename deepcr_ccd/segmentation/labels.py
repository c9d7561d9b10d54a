"""Groups of pixels that touch, found from the places of the few that belong to any."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

__all__ = ["EIGHT_CONNECTED", "group_peaks", "label_pixels"]


def label_pixels(
    places: np.ndarray, width: int, *, corners: bool = True
) -> tuple[int, np.ndarray]:
    """Return how many groups some pixels form, and the group of each.

    Parameters
    ----------
    places : `~numpy.ndarray`
        int, ``(n,)``, flat indices of the pixels, ascending.
    width : int
        Width of the frame in px.
    corners : bool
        Whether pixels touch at corners, too.

    Returns
    -------
    number : int
        Of groups.
    labels : `~numpy.ndarray`
        int, ``(n,)``, from 0.
    """
    columns = places % width
    # The neighbours that come later: to the right, and those in the next row.
    ahead = [(1, columns < width - 1), (width, columns >= 0)]
    if corners:
        ahead += [(width - 1, columns > 0), (width + 1, columns < width - 1)]
    pairs = []
    for step, within in ahead:
        here = np.flatnonzero(within)
        there = np.searchsorted(places[:-1], places[here] + step)
        touching = places[there] == places[here] + step
        pairs.append((here[touching], there[touching]))
    ends = tuple(np.concatenate(end) for end in zip(*pairs, strict=True))
    links = sparse.coo_array((np.ones(ends[0].size), ends), shape=(places.size,) * 2)
    return connected_components(links, directed=False)


#: Pixels touch each other at corners, too.
EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


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
    groups, number = ndimage.label(where, EIGHT_CONNECTED)
    peaks = np.zeros(number + 1)
    if number:
        # The pixels of groups are few: ndimage.maximum would sort all there are.
        where = groups > 0
        peaks[1:] = -np.inf
        np.maximum.at(peaks, groups[where], values[where])
    return peaks[groups]
