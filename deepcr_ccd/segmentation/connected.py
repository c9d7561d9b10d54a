"""Groups of connected pixels, labelled from the indices of the few that are flagged."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

__all__ = ["EIGHT_CONNECTED", "group_peaks", "label_pixels"]

#: Structure with which pixels are connected at corners, too.
EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


def label_pixels(
    places: np.ndarray, width: int, *, corners: bool = True
) -> tuple[int, np.ndarray]:
    """Label the groups of connected pixels.

    The time depends on the number of flagged pixels, not on the size of the frame.

    Parameters
    ----------
    places : `~numpy.ndarray`
        int, ``(n,)``, flat indices of the pixels, ascending.
    width : int
        Width of the frame in px.
    corners : bool
        Whether pixels are connected at corners, too.

    Returns
    -------
    number : int
        Number of groups.
    labels : `~numpy.ndarray`
        int32, ``(n,)``, the group of each pixel, from 0.
    """
    columns = places % width
    # Neighbours of higher index: to the right, and in the next row.
    ahead = [(1, columns < width - 1), (width, columns >= 0)]
    if corners:
        ahead += [(width - 1, columns > 0), (width + 1, columns < width - 1)]
    pairs = []
    for step, within in ahead:
        here = np.flatnonzero(within)
        there = np.searchsorted(places[:-1], places[here] + step)
        touching = places[there] == places[here] + step
        pairs.append((here[touching], there[touching]))
    # As labels are: SciPy 1.11 connects nothing else.
    ends = tuple(
        np.concatenate(end).astype(np.int32) for end in zip(*pairs, strict=True)
    )
    links = sparse.coo_array((np.ones(ends[0].size), ends), shape=(places.size,) * 2)
    return connected_components(links, directed=False)


def group_peaks(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the highest value of the group of each pixel.

    Parameters
    ----------
    values : `~numpy.ndarray`
        ``(ny, nx)``.
    where : `~numpy.ndarray`
        bool, ``(ny, nx)``, True for pixels of groups, which are connected at corners.

    Returns
    -------
    `~numpy.ndarray`
        float64, ``(ny, nx)``; 0 where ``where`` is False.
    """
    groups, number = ndimage.label(where, EIGHT_CONNECTED)
    peaks = np.zeros(number + 1)
    if number:
        # The pixels of groups are few; ndimage.maximum would sort all pixels.
        where = groups > 0
        peaks[1:] = -np.inf
        np.maximum.at(peaks, groups[where], values[where])
    return peaks[groups]
